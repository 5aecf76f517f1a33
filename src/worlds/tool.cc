#include "worlds/tool.h"

#include "worlds/calculator.h"

namespace metier::worlds {

Result<std::string> CalculateTool(Records&, const Json& arguments) {
  METIER_ASSIGN(const double value, Calculate(TextOf(arguments, "expression")));
  return PythonFloat(value);
}

Result<std::string> ThinkTool(Records&, const Json&) { return std::string(); }

Result<std::string> TransferTool(Records&, const Json&) {
  return std::string("Transfer successful");
}

Result<std::string> RecordText(const Json* record, std::string_view what) {
  if (record == nullptr) return Error(ErrorCode::kNotFound, std::string(what) + " not found");
  return DumpPython(*record);
}

const std::string& TextOf(const Json& object, std::string_view name) {
  const auto field = object.find(name);
  METIER_CHECK(field != object.end() && field->is_string(), "a string that no shape promises");
  return field->get_ref<const std::string&>();
}

}  // namespace metier::worlds
