// Arrays in files: .npy and .npz as NumPy writes them, and plain bytes.
#ifndef HETCOMP_PROGRAM_ARRAY_FILE_H_
#define HETCOMP_PROGRAM_ARRAY_FILE_H_

#include <map>
#include <string>
#include <string_view>

#include "hetcomp.h"

namespace hetcomp::program {

// The whole file. Throws std::runtime_error.
std::string ReadFile(const std::string& path);

// The array's bytes in a .npy file's contents, if it is the one that `info` describes: dense,
// row-major, of the same element type and shape. Throws std::runtime_error; `where` names the file.
std::string_view ArrayIn(std::string_view file, const hetcomp_tensor_info& info,
                         const std::string& where);

// The .npy files in an .npz archive, by the name of the array. Throws std::runtime_error where it
// is no archive, or a compressed one.
std::map<std::string, std::string_view> FilesIn(std::string_view archive, const std::string& where);

// Throws std::runtime_error.
void WriteArray(const std::string& path, const hetcomp_tensor_info& info, const void* data);

}  // namespace hetcomp::program

#endif  // HETCOMP_PROGRAM_ARRAY_FILE_H_
