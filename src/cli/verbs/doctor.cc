// metier doctor: what this machine offers and what is missing.
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "cli/verbs/verbs.h"
#include "specialist/train_plugin.h"

namespace metier::cli {
namespace {

struct DoctorOptions {
  template <class Visitor>
  void Visit(Visitor&&) {}
};

enum class State { kOk, kSlow, kMissing };

struct Finding {
  std::string subject;
  State state = State::kOk;
  std::string found;
  std::string remedy;  // of what is not kOk
};

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

Finding Processor() {
  __builtin_cpu_init();
  std::string features;
  const auto note = [&features](bool present, const char* name) {
    if (present) features += (features.empty() ? "" : " ") + std::string(name);
  };
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  note(avx2, "avx2");
  note(avx512, "avx512");
  note(__builtin_cpu_supports("avx512vnni"), "vnni");
  note(__builtin_cpu_supports("avx512bf16"), "bf16");
  const unsigned threads = std::thread::hardware_concurrency();
  Finding finding{"processor", State::kOk,
                  fmt::format("{} threads, {}", threads, features.empty() ? "no avx2" : features),
                  ""};
  if (!avx2) {
    finding.state = State::kSlow;
    finding.remedy = "the scalar kernels are used, at a fraction of the speed";
  }
  return finding;
}

Finding Memory() {
  const double total = static_cast<double>(TotalMemoryBytes()) / kGiB;
  const double free = static_cast<double>(AvailableMemoryBytes()) / kGiB;
  Finding finding{"memory", State::kOk, fmt::format("{:.1f} GiB, {:.1f} GiB free", total, free),
                  ""};
  constexpr double kComfortable = 2.0;
  if (free < kComfortable) {
    finding.state = State::kSlow;
    finding.remedy = "models larger than the free memory are read from disk again and again";
  }
  return finding;
}

Finding Disk() {
  struct statvfs facts {};
  if (statvfs(".", &facts) != 0) {
    return {"disk", State::kMissing, "the current folder cannot be examined",
            "change to another folder"};
  }
  const double free =
      static_cast<double>(facts.f_bavail) * static_cast<double>(facts.f_frsize) / kGiB;
  Finding finding{"disk", State::kOk, fmt::format("{:.1f} GiB free in the current folder", free),
                  ""};
  constexpr double kComfortable = 1.0;
  if (free < kComfortable) {
    finding.state = State::kSlow;
    finding.remedy = "runs keep checkpoints and packages: free some space or use another folder";
  }
  return finding;
}

Finding Writable() {
  const bool writable = access(".", W_OK) == 0;
  if (writable) return {"folder", State::kOk, "the current folder is writable", ""};
  return {"folder", State::kMissing, "the current folder cannot be written",
          "change to a folder of yours, or give --out elsewhere"};
}

// LibTorch takes whatever BLAS the system's alternative points at; the reference one is a hundred
// times slower than OpenBLAS.
Finding Blas() {
  for (const char* link : {"/etc/alternatives/libblas.so.3-x86_64-linux-gnu",
                           "/etc/alternatives/libblas.so.3-aarch64-linux-gnu"}) {
    std::error_code problem;
    const std::filesystem::path target = std::filesystem::read_symlink(link, problem);
    if (problem) continue;
    const bool openmp = target.string().find("openblas-openmp") != std::string::npos;
    if (openmp) return {"blas", State::kOk, target.string(), ""};
    return {"blas", State::kSlow, target.string(),
            "training is far slower without it: apt install libopenblas0-openmp"};
  }
  return {"blas", State::kSlow, "no system alternative for libblas.so.3",
          "training on the CPU needs a fast one: apt install libopenblas0-openmp"};
}

Finding Plugin() {
  const auto plugin = specialist::TrainPlugin::Load();
  if (!plugin.ok()) {
    return {"training", State::kMissing, plugin.error().message(), "everything else works without"};
  }
  const auto info = plugin->Call(
      "info", Json::object(), [](const Json&) { return specialist::TrainPlugin::Continue::kYes; });
  if (!info.ok()) return {"training", State::kMissing, info.error().message(), "see scripts/setup"};
  return {"training", State::kOk, fmt::format("{} {}", plugin->path(), DumpCompact(*info)), ""};
}

const char* NameOf(State state) {
  switch (state) {
    case State::kOk: return "ok";
    case State::kSlow: return "warning";
    case State::kMissing: return "missing";
  }
  return "";
}

Result<Outcome> Doctor(const DoctorOptions&, Console& console) {
  const std::vector<Finding> findings = {Processor(), Memory(), Disk(),
                                         Writable(),  Blas(),   Plugin()};
  bool complete = true;
  Json list = Json::array();
  std::string text;
  for (const Finding& finding : findings) {
    complete = complete && finding.state != State::kMissing;
    Json item = {
        {"subject", finding.subject}, {"state", NameOf(finding.state)}, {"found", finding.found}};
    if (!finding.remedy.empty()) item["remedy"] = finding.remedy;
    list.push_back(std::move(item));
    text += fmt::format("{:<8} {:<10} {}\n", NameOf(finding.state), finding.subject, finding.found);
    if (!finding.remedy.empty()) text += fmt::format("{:<19} -> {}\n", "", finding.remedy);
  }
  if (console.json()) {
    console.PrintJson(Json{{"complete", complete}, {"findings", std::move(list)}});
  } else {
    console.Print(text);
  }
  return complete ? Outcome::kSuccess : Outcome::kWorkFailed;
}

}  // namespace

constinit const Verb kDoctorVerb = MakeVerb<DoctorOptions, Doctor>(
    "doctor", "what this machine offers and what is missing", "metier doctor");

}  // namespace metier::cli
