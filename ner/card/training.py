"""The card's section on training: hyperparameters, epochs, versions in the lists of the Trainer's cards; and cost."""

from collections.abc import Iterable
from typing import Any

from ner.card.facts import CardFacts
from ner.card.markdown import MISSING, bullets, code, number, parse, plain, table, text

COLUMNS = {
    "training_loss": "Training Loss",
    "epoch": "Epoch",
    "step": "Step",
    "validation_loss": "Validation Loss",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "accuracy": "Accuracy",
}
FRAMEWORKS = {"transformers": "Transformers", "torch": "Pytorch", "datasets": "Datasets", "tokenizers": "Tokenizers"}
# Written in words of their own, or of no effect on the weights.
TOLD = (
    "train.learning_rate", "train.batch_size", "train.batch_by", "train.seed", "train.gradient_accumulation",
    "train.processes", "train.adam_beta1", "train.adam_beta2", "train.adam_epsilon", "train.schedule", "train.warmup",
    "train.epochs", "train.precision", "train.weight_decay", "train.max_grad_norm", "train.device", "train.checkpoints",
    "train.keep", "train.patience",
    "encoding.context", "encoding.max_length", "model.base",
)  # fmt: skip
PRECISIONS = {
    "fp32": "no (fp32)",
    "bf16": "bf16 (weights and optimizer in fp32)",
    "fp16": "fp16 (weights and optimizer in fp32)",
}


def procedure(facts: CardFacts) -> str:
    """Return the three subsections."""
    parts = {
        "Training hyperparameters": hyperparameters(facts),
        "Training results": epochs(facts),
        "Framework versions": versions(facts),
    }
    intro = f"Fine-tuned with the Trainer of Transformers. {trained(facts)}"
    return "\n\n".join([intro, *(f"### {title}\n\n{body}" for title, body in parts.items())])


def trained(facts: CardFacts) -> str:
    """Return which weights were trained, frozen or removed."""
    dropped, frozen = facts.param("train.dropped_layers") or 0, facts.param("train.frozen_layers") or 0
    untrained = [f"the lowest {number(frozen)} layers"] if frozen else []
    untrained = ["the embeddings", *untrained] if facts.param("train.frozen_embeddings") else untrained
    parts = [f"The top {number(dropped)} layers of the encoder were left out." if dropped else ""]
    parts.append(
        f"All weights but {' and '.join(untrained)} were trained." if untrained else "All weights were trained."
    )
    if facts.param("encoding.case") == "read":
        parts.append(
            "Where the encoder lower-cases, it was made to read upper case: each piece of its vocabulary has a "
        )
        parts[-1] += "capitalised and an upper-case twin, whose embedding is that of the piece plus a learned vector."
    return " ".join(part for part in parts if part)


def hyperparameters(facts: CardFacts) -> str:
    """Return the list that the Trainer's cards have, and what else shaped this model."""
    lines = [f"{name}: {value}" for name, value in hyperparameter_values(facts) if value is not None]
    others = [f"{name}: {code(v)}" for name, v in facts.training.get("params", {}).items() if is_other(name)]
    if not lines + others:
        return "The parameters of this training were not recorded."
    return f"The following hyperparameters were used during training:\n{bullets([*lines, *others])}"


def hyperparameter_values(facts: CardFacts) -> Iterable[tuple[str, Any]]:
    """Yield values by the names that the Trainer's cards have; None for what was not recorded."""
    get, batch = facts.param, facts.param("train.batch_size")
    processes, accumulation = get("train.processes") or 1, get("train.gradient_accumulation") or 1
    betas = (get("train.adam_beta1"), get("train.adam_beta2"), get("train.adam_epsilon"))
    yield "learning_rate", _plain(get("train.learning_rate"))
    yield "train_batch_size", _plain(batch)
    yield "train_batch_unit", _plain(get("train.batch_by"))
    yield "seed", _plain(get("train.seed"))
    yield "num_devices", processes if processes > 1 else None
    yield "gradient_accumulation_steps", accumulation if accumulation > 1 else None
    yield "total_train_batch_size", batch * processes * accumulation if batch and processes * accumulation > 1 else None
    adam = f"AdamW with betas=({betas[0]},{betas[1]}) and epsilon={betas[2]}"
    yield "optimizer", adam if None not in betas else None
    yield "lr_scheduler_type", _plain(get("train.schedule"))
    yield "lr_scheduler_warmup_ratio", _plain(get("train.warmup"))
    yield "num_epochs", _plain(get("train.epochs"))
    yield "early_stopping_patience", get("train.patience") or None
    yield "load_best_model_at_end", True if get("train.keep") == "best" else None
    precision = facts.training.get("precision")
    yield "mixed_precision_training", PRECISIONS.get(precision, text(precision)) if precision else None
    yield "weight_decay", _plain(get("train.weight_decay"))
    yield "max_grad_norm", _plain(get("train.max_grad_norm"))
    context = {"document": "document (neighbouring sentences share a window)", "sentence": "sentence (each alone)"}
    yield "context", context.get(facts.context or "")
    yield "max_length", f"{get('encoding.max_length')} subwords" if get("encoding.max_length") else None


def is_other(name: str) -> bool:
    """Whether a parameter belongs to the training and has no words of its own in the list."""
    return name.split(".")[0] in ("train", "encoding", "model") and name not in TOLD


def epochs(facts: CardFacts) -> str:
    """Return history.csv in the columns of the Trainer's cards."""
    if not facts.history:
        return "The training was not evaluated in between."
    rows = [[_cell(name, row.get(name)) for name in COLUMNS] for row in facts.history]
    run = facts.training
    sizes = [f"{number(run[name])} {name}" for name in ("windows", "subwords", "words") if run.get(name)]
    epoch = f" An epoch is {', '.join(sizes)}." if sizes else ""
    note = "Scores are of the validation split, before calibration; the training loss is the mean over the epoch."
    if facts.param("train.keep") == "best":
        note = f"The weights are those of step {number(run.get('kept'))}, the best epoch by F1 (then by loss). {note}"
    return f"{table(list(COLUMNS.values()), rows, 'c' * len(COLUMNS))}\n\n{note}{epoch}"


def versions(facts: CardFacts) -> str:
    """Return versions of libraries: those that the Trainer's cards name first, then the rest."""
    packages = facts.measured.get("packages", {})
    lines = [f"{title} {plain(packages[name])}" for name, title in FRAMEWORKS.items() if name in packages]
    lines += [f"{name} {plain(packages[name])}" for name in sorted(packages) if name not in FRAMEWORKS]
    if facts.measured.get("python"):
        lines.append(f"Python {plain(facts.measured['python'])}")
    return bullets(lines) or "Those that the project pins; the ones of a training are in its run in MLflow."


def cost(facts: CardFacts) -> str:
    """Return what the training took: machine, time and memory, as far as it was recorded."""
    if not facts.measured:
        return "Time and memory are measured anew with each training, and are in its run in MLflow."
    return bullets(cost_lines(facts))


def cost_lines(facts: CardFacts) -> Iterable[str]:
    """Yield the cost of the training, one line per fact."""
    run = facts.measured
    names = [run.get("gpu"), run.get("cpu")]
    amounts = [
        f"{number(run[name])} {title}" for name, title in (("gpus", "GPUs"), ("cores", "cores")) if run.get(name)
    ]
    yield f"**Machine:** {', '.join([*(text(name) for name in names if name), *amounts]) or 'not recorded'}"
    cores = run.get("cores")
    seconds, cpu = run.get("seconds"), run.get("cpu_seconds")
    if seconds:
        speed = f" ({number(run['words_per_second'], 0)} words a second)" if run.get("words_per_second") else ""
        note = " since it was last resumed; what came before is not counted" if run.get("resumed") else ""
        yield f"**Wall time:** {duration(seconds)}{speed}{note}, evaluation after each epoch included"
    if cpu:
        yield f"**Computing:** {number(cpu / 3600, 2)} core-hours of processor time"
    elif seconds and cores:
        yield f"**Computing:** {number(seconds * cores / 3600, 2)} core-hours at most (cores times wall time)"
    if run.get("gpus") and seconds:
        yield f"**GPU time:** {number(seconds * run['gpus'] / 3600, 2)} GPU-hours"
    if run.get("peak_memory_mb"):
        yield f"**Peak memory of the process:** {number(float(run['peak_memory_mb']), 0)} MB"


def duration(seconds: float) -> str:
    """Return `35.1 minutes`, from two hours on in hours."""
    return f"{seconds / 60:,.1f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def _cell(name: str, value: Any) -> str:
    finite = parse(value)
    if finite is None:
        return "No log" if name == "training_loss" else MISSING
    return {"epoch": str(round(float(finite), 2)), "step": str(int(finite))}.get(name, number(float(finite)))


def _plain(value: Any) -> str | None:
    """Return a parameter as the Trainer's cards write it: 2e-05, 3, linear."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else plain(value) if value != 0 else "0"
