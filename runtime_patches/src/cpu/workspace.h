// Scratch memory and the parallel launcher that TVM's CPU kernels expect from their loader.
#ifndef HETCOMP_WORKSPACE_H_
#define HETCOMP_WORKSPACE_H_

namespace hetcomp {

// Fills the pointer slots that TVM's code generator leaves in the kernel objects. Idempotent, any
// thread; call before the first kernel runs.
void FillKernelSlots();

}  // namespace hetcomp

#endif  // HETCOMP_WORKSPACE_H_
