#include "worlds/shape.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/nearest.h"

namespace metier::worlds {
namespace {

std::string_view KindName(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::boolean: return "a boolean";
    case Json::value_t::string: return "a string";
    case Json::value_t::array: return "an array";
    case Json::value_t::object: return "an object";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return "a whole number";
    case Json::value_t::number_float: return "a number with decimals";
    default: return "no JSON value";
  }
}

struct ShapeCheck {
  UnknownNames unknown;
  const std::string& what;

  Error Wrong(const std::string& place, std::string_view found, std::string_view expected) const {
    return Error(ErrorCode::kInvalidArgument, what + (place.empty() ? "" : " '" + place + "'") +
                                                  " is " + std::string(found) + ", expected " +
                                                  std::string(expected));
  }

  Status Check(const Json& shape, const Json& value, const std::string& place) const {
    switch (shape.type()) {
      case Json::value_t::string: return CheckText(shape, value, place);
      case Json::value_t::array: return CheckItems(shape, value, place);
      case Json::value_t::object: return CheckNames(shape, value, place);
      case Json::value_t::boolean:
        return value.is_boolean() ? Ok() : Status(Wrong(place, KindName(value), "a boolean"));
      case Json::value_t::number_float:
        return value.is_number() ? Ok() : Status(Wrong(place, KindName(value), "a number"));
      case Json::value_t::number_integer:
      case Json::value_t::number_unsigned:
        return value.is_number_integer() ? Ok()
                                         : Status(Wrong(place, KindName(value), "a whole number"));
      default: return Ok();
    }
  }

  Status CheckText(const Json& shape, const Json& value, const std::string& place) const {
    if (!value.is_string()) return Wrong(place, KindName(value), "a string");
    const auto& choices = shape.get_ref<const std::string&>();
    if (choices.empty()) return Ok();
    const auto& text = value.get_ref<const std::string&>();
    if (text.find('|') == std::string::npos &&
        ("|" + choices + "|").find("|" + text + "|") != std::string::npos) {
      return Ok();
    }
    return Wrong(place, "'" + text + "'", "one of " + choices);
  }

  Status CheckItems(const Json& shape, const Json& value, const std::string& place) const {
    if (!value.is_array()) return Wrong(place, KindName(value), "an array");
    for (std::size_t i = 0; i < value.size(); ++i)
      METIER_TRY(Check(shape[0], value[i], Inside(place, std::to_string(i))));
    return Ok();
  }

  Status CheckNames(const Json& shape, const Json& value, const std::string& place) const {
    if (!value.is_object()) return Wrong(place, KindName(value), "an object");
    if (const auto any = shape.find("*"); any != shape.end()) {
      for (const auto& [name, field] : value.items())
        METIER_TRY(Check(*any, field, Inside(place, name)));
      return Ok();
    }
    std::vector<std::string> known;
    for (const auto& [listed, field_shape] : shape.items()) {
      const bool optional = listed.ends_with('?');
      const std::string name = optional ? listed.substr(0, listed.size() - 1) : listed;
      known.push_back(name);
      const auto field = value.find(name);
      if (field != value.end()) {
        METIER_TRY(Check(field_shape, *field, Inside(place, name)));
      } else if (!optional) {
        return Error(ErrorCode::kInvalidArgument,
                     what + " '" + Inside(place, name) + "' is missing");
      }
    }
    return unknown == UnknownNames::kKept ? Ok() : RefuseOthers(known, value, place);
  }

  Status RefuseOthers(const std::vector<std::string>& known, const Json& value,
                      const std::string& place) const {
    for (const auto& [name, field] : value.items()) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const std::string nearest = NearestName(name, known);
      return Error(ErrorCode::kInvalidArgument,
                   "unknown " + what + " '" + Inside(place, name) + "'" +
                       (nearest.empty() ? "" : ", the nearest is '" + nearest + "'"));
    }
    return Ok();
  }

  static std::string Inside(const std::string& place, const std::string& name) {
    return place.empty() ? name : place + "/" + name;
  }
};

}  // namespace

Status CheckShape(const Json& shape, const Json& value, UnknownNames unknown,
                  const std::string& what) {
  return ShapeCheck{unknown, what}.Check(shape, value, "");
}

}  // namespace metier::worlds
