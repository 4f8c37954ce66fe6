// What the emulator puts in place of the C library's: `syscall`, for the permission for tiles, and
// `sigaction` and `signal`, so that no library takes its signals away.
#ifndef HETCOMP_TESTS_AMX_INTERPOSED_H_
#define HETCOMP_TESTS_AMX_INTERPOSED_H_

#include <signal.h>

#include "amx_processor.h"

namespace hetcomp {

using SignalHandler = void (*)(int, siginfo_t*, void*);

// The first call is before the first signal.
const AmxMachine& EmulatedMachine();

// Whether the process has asked, and got it.
bool TilesArePermitted();

void Handle(int number, SignalHandler handler);

// For signal handlers too: the signal ends the process from now on.
void HandleNoMore(int number);

// To the program's own handler of a signal that is no business of the emulator.
void HandOn(int number, siginfo_t* info, void* context);

}  // namespace hetcomp

#endif  // HETCOMP_TESTS_AMX_INTERPOSED_H_
