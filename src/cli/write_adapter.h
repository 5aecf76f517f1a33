// cli/write_adapter.h - an adapter written by a hypernetwork.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::cli {

struct WriteAdapterOptions {
  std::string hypernetwork;
  std::string describe;
  std::string out;
  std::string base;
  std::string device = "cpu";
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("HYPER", hypernetwork, "directory of a hypernetwork: the final/ of a run with `hyper`")
        .Required();
    field("describe", describe, "what the task is, in a sentence").Required();
    field("out", out, "the adapter, a new directory in PEFT's form").Required();
    field("base", base, "the model that it was trained on, where that has moved");
    field("device", device, "cpu, cuda or cuda:N");
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

// {"out", "base", "rank", "modules", "tokens"}. `out` appears complete or not at all.
// kInvalidArgument: it is there already; no description; a base that the hypernetwork was not
// trained on. kNotFound: no hypernetwork, or its base is not where it was.
Result<Json> WriteAdapter(const WriteAdapterOptions& options);

}  // namespace metier::cli
