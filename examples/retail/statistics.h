// retail/statistics.h - what a set of dialogues consists of: requests, outcomes, calls, lengths.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "retail/simulator.h"

namespace metier::retail {

class Statistics {
 public:
  void Add(const Dialogue& dialogue);

  // {"dialogues", "goals": {...}, "outcomes", "calls", "calls_per_dialogue", "call_share",
  //  "characters": {"mean","p95","max"}}. Characters are those of all contents and calls.
  Json ToJson() const;

 private:
  std::map<std::string, int> goals_;
  std::map<std::string, int> outcomes_;
  std::map<std::string, int> calls_;
  std::vector<std::size_t> lengths_;
  int assistant_turns_ = 0;
  int call_turns_ = 0;
};

}  // namespace metier::retail
