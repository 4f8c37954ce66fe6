"""From scheduled TIR to one model.so: objects, OpenCL text, image, link."""
