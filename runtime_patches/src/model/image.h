// The model's data inside the .so: JSON description, OpenCL source and constants.
#ifndef HETCOMP_IMAGE_H_
#define HETCOMP_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hetcomp {

// Views into the mapped file; they live as long as the process (model.so is linked nodelete).
struct Image {
  std::string_view json;
  std::string_view opencl_source;   // packed, see inflate.h
  const char* constants = nullptr;  // 4096-aligned
  size_t constants_bytes = 0;
  uint64_t constants_sum = 0;
};

// Checks everything but the constants. Throws Error on damage.
Image ReadImage();

// Reads all constants, once a process. Throws Error where they are not those that were compiled.
void CheckConstants(const Image& image);

// Copies the constants and gives their pages back as it goes: at no time are they in memory twice.
void MoveConstants(const Image& image, char* to);

// Gives back the memory of the constants' pages; they are read from the file again where needed.
void ReleaseConstants(const Image& image);

}  // namespace hetcomp

#endif  // HETCOMP_IMAGE_H_
