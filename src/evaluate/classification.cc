#include "evaluate/classification.h"

namespace metier::evaluate {

double Confusion::Class::F1() const {
  return 2.0 * static_cast<double>(both) / static_cast<double>(truly + predicted);
}

void Confusion::Add(const std::string& truth, const std::string& predicted) {
  ++rows_;
  ++classes_[truth].truly;
  ++classes_[predicted].predicted;
  ++table_[truth][predicted];
  if (truth != predicted) return;
  ++right_;
  ++classes_[truth].both;
}

double Confusion::Accuracy() const {
  return static_cast<double>(right_) / static_cast<double>(rows_);
}

double Confusion::MacroF1() const {
  double sum = 0;
  for (const auto& [name, one] : classes_) sum += one.F1();
  return sum / static_cast<double>(classes_.size());
}

double Confusion::WeightedF1() const {
  double sum = 0;
  for (const auto& [name, one] : classes_) sum += one.F1() * static_cast<double>(one.truly);
  return sum / static_cast<double>(rows_);
}

Json Confusion::ToJson() const {
  Json json = Json::object();
  for (const auto& [truth, row] : table_) {
    for (const auto& [predicted, count] : row) json[truth][predicted] = count;
  }
  return json;
}

}  // namespace metier::evaluate
