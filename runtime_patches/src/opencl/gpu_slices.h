// Short launches, so that another client of the device is served between them.
#ifndef HETCOMP_GPU_SLICES_H_
#define HETCOMP_GPU_SLICES_H_

#include "model/model.h"

namespace hetcomp {

// The same table with every GPU step cut into steps that are predicted to take `slice_us` at most,
// as far as its tiles can be cut. Steps without a prediction, and those with tickets, stay whole.
// Steps of the CPU wait for the last piece of what they waited for.
Table SliceGpuSteps(const Table& table, const Graph& graph, double slice_us);

// GPU steps of such a table that the limit does not hold for: those that stay whole, and those of
// tiles that cannot be cut so short. 0 where there is no limit.
int CountOverSlice(const Table& sliced, double slice_us);

}  // namespace hetcomp

#endif  // HETCOMP_GPU_SLICES_H_
