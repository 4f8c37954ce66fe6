// The few lines that the runtime says on standard error, each once per process.
#ifndef HETCOMP_NOTICE_H_
#define HETCOMP_NOTICE_H_

#include <string>

namespace hetcomp {

// Prints "hetcomp: <text>" unless `quiet` or the same text was printed before. Any thread.
void NoticeOnce(const std::string& text, bool quiet);

}  // namespace hetcomp

#endif  // HETCOMP_NOTICE_H_
