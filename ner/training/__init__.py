"""Fine-tuning: model, batches, precision and the training run itself."""
