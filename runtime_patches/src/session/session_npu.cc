// Session: the NPU's driver, found and given up.
#include <system_error>

#include "base/error.h"
#include "base/notice.h"
#include "npu/npu_fault.h"
#include "npu/npu_htp.h"
#include "session/session.h"

namespace hetcomp {

// What crosses between two memories is known of kernels only, see crossings.h.
void Session::CheckMemoryOfAll(const Table& table) const {
  if (table.gpu.empty() || table.npu.empty() || fine_memory()) return;
  throw Error(ErrorKind::kDevice,
              "a plan with the NPU beside OpenCL needs fine-grained shared memory");
}

// Call with mutex_ held (or from the constructor). Leaves npu_ null, and why_no_npu_ said, where
// the driver does not serve: the one that was asked for, else the one that the file was compiled
// for.
void Session::PrepareNpu() {
  if (npu_ != nullptr) return;
  if (options_.npu == "off") return NoteNpu("the NPU is switched off (npu = off)");
  const std::string name = options_.npu == "auto" ? model_.graph.npu_driver : options_.npu;
  NpuDriver* driver = FindNpuDriver(name);
  if (driver == nullptr)
    return NoteNpu("NPU driver " + name + ": the runtime has none of that name");
  UseHtpLibraries(options_.htp, options_.timeout_ms);
  if (options_.npu_fault != NpuFault::kNone) {
    faulty_npu_ = WithFault(driver, options_.npu_fault);
    driver = faulty_npu_.get();
  }
  const std::string missing = driver->WhyMissing();
  if (!missing.empty()) return NoteNpu("NPU driver " + name + ": " + missing);
  try {
    npu_ = std::make_unique<NpuDevice>(driver);
  } catch (const std::system_error& error) {
    NoteNpu("NPU driver " + name + ": its thread cannot be started: " + error.what());
  }
}

// Says once why regions run on the CPU.
void Session::NoteNpu(const std::string& why) {
  if (why == why_no_npu_) return;
  why_no_npu_ = why;
  Mark(why);
  if (options_.npu != "off") {
    NoticeOnce(why + "; the CPU computes what was planned for the NPU", options_.quiet);
  }
}

std::unique_ptr<NpuLane> Session::MakeNpuLane(const Ready& ready) {
  if (ready.table.npu.empty()) return nullptr;
  PrepareNpu();
  if (npu_ == nullptr) return nullptr;
  auto lane = std::make_unique<NpuLane>(model_.graph, ready.table, ready.memory, image_.constants,
                                        options_.timeout_ms, npu_.get());
  if (!lane->why_not().empty()) NoteNpu(lane->why_not());
  return lane;
}

// After an inference: what became of the NPU's regions.
void Session::AfterNpu() {
  if (ready_->table.npu.empty()) return;
  if (ready_->npu == nullptr || ready_->npu->TakeTakenOver()) ++npu_fallbacks_;
  if (npu_ != nullptr && !npu_->why_bad().empty()) NoteNpu(npu_->why_bad());
}

void Session::AddNpuStatus(JsonObject* status) const {
  const bool used = ready_->npu != nullptr && npu_->why_bad().empty();
  status->Text("npu", used ? npu_->driver().name() : "");
  status->Text("why_no_npu", why_no_npu_);
  status->Count("npu_steps", static_cast<long long>(ready_->table.npu.size()));
  status->Count("npu_fallbacks", npu_fallbacks_);
}

}  // namespace hetcomp
