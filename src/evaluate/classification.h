// evaluate/classification.h - true against predicted classes: accuracy and F1, as scikit-learn
// defines them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/json.h"

namespace metier::evaluate {

class Confusion {
 public:
  void Add(const std::string& truth, const std::string& predicted);

  std::int64_t rows() const { return rows_; }
  double Accuracy() const;

  // Over the classes that are true or predicted of some row: F1 = 2 TP / (2 TP + FP + FN). Their
  // plain mean, and the mean weighted by how many rows are truly of each.
  double MacroF1() const;
  double WeightedF1() const;

  // {truth: {predicted: rows}}
  Json ToJson() const;

 private:
  struct Class {
    std::int64_t both = 0;       // true and predicted
    std::int64_t truly = 0;      // true
    std::int64_t predicted = 0;  // predicted
    double F1() const;
  };

  std::int64_t rows_ = 0;
  std::int64_t right_ = 0;
  std::map<std::string, Class> classes_;
  std::map<std::string, std::map<std::string, std::int64_t>> table_;
};

}  // namespace metier::evaluate
