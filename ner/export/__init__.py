"""The release in other formats: ONNX graphs in fp32 and int8, each scored and registered."""
