// recipe/fields.h - one list of a configuration's fields: reading, writing, JSON Schema and help
// all walk it.
//
//   struct Options {
//     double learning_rate = 3e-4;
//     std::string scheduler = "cosine";
//     template <class Visitor>
//     void Visit(Visitor&& field) {
//       field("learning_rate", learning_rate, "peak learning rate").Above(0);
//       field("lr_scheduler_type", scheduler, "shape after warm-up").OneOf({"cosine", "linear",
//       "constant"});
//     }
//   };
//   METIER_TRY(ReadFields(document, "train", options));   // unknown keys: error that names the
//   nearest known one
//
// Field types: bool, int64, double, string, Json (anything), vector and map<string, .> of these,
// optional of these, and structs with a Visit of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::recipe {

// What a field accepts beyond its type.
struct Constraint {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool least_excluded = false;
  std::vector<std::string> choices;  // of a string, or of each string of a list
  bool required = false;

  Constraint& AtLeast(double bound) {
    least = bound;
    return *this;
  }
  Constraint& Above(double bound) {
    least = bound;
    least_excluded = true;
    return *this;
  }
  Constraint& AtMost(double bound) {
    most = bound;
    return *this;
  }
  Constraint& OneOf(std::initializer_list<const char*> names) {
    choices.assign(names.begin(), names.end());
    return *this;
  }
  Constraint& Required() {
    required = true;
    return *this;
  }
};

struct AnyField {
  template <class T>
  Constraint& operator()(const char*, T&, const char*) {
    return ignored;
  }
  Constraint ignored;
};

// A struct that lists its fields.
template <class T>
concept Described = requires(T& value, AnyField& field) {
  value.Visit(field);
};

namespace internal {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// What was found, for messages: "text \"abc\"", "a list", "number 3".
std::string Describe(const Json& value);
Error WrongType(const std::string& path, std::string_view expected, const Json& found);
Error UnknownKey(const std::string& path, const std::string& key,
                 const std::vector<std::string>& known);
Status CheckNumber(const std::string& path, double value, const Constraint& constraint);
Status CheckChoice(const std::string& path, const std::string& value, const Constraint& constraint);
Status CheckIsObject(const std::string& path, const Json& value);
Result<std::int64_t> ReadInteger(const std::string& path, const Json& value);

}  // namespace internal

template <class T>
Status ReadValue(const Json& json, const std::string& path, const Constraint& constraint, T& out);

// Collects (name, reader) of every field, so that constraints, given after the call, are known when
// values are read.
class FieldReader {
 public:
  explicit FieldReader(std::string path) : path_(std::move(path)) {}

  template <class T>
  Constraint& operator()(const char* name, T& value, const char*) {
    entries_.push_back(
        {name,
         {},
         [&value](const Json& json, const std::string& path, const Constraint& constraint) {
           return ReadValue(json, path, constraint, value);
         }});
    return entries_.back().constraint;
  }

  Status Read(const Json& document);

 private:
  struct Entry {
    std::string name;
    Constraint constraint;
    std::function<Status(const Json&, const std::string&, const Constraint&)> read;
  };
  std::string path_;
  std::vector<Entry> entries_;

 public:
  void Reserve(std::size_t fields) {
    entries_.reserve(fields);
  }  // references stay valid while fields are listed
};

// Reads an object into a described struct. `path` is the place in the document, for messages
// ("stages.sft.train"). kDataCorrupt: wrong type, unknown key, missing required key, value outside
// its constraint.
template <Described T>
Status ReadFields(const Json& document, const std::string& path, T& out) {
  METIER_TRY(internal::CheckIsObject(path, document));
  FieldReader reader(path);
  constexpr std::size_t kMostFields = 256;
  reader.Reserve(kMostFields);
  out.Visit(reader);
  return reader.Read(document);
}

template <class T>
Status ReadValue(const Json& json, const std::string& path, const Constraint& constraint, T& out) {
  if constexpr (internal::IsOptional<T>::value) {
    if (json.is_null()) {
      out.reset();
      return Ok();
    }
    typename T::value_type inner{};
    METIER_TRY(ReadValue(json, path, constraint, inner));
    out = std::move(inner);
    return Ok();
  } else if constexpr (std::is_same_v<T, Json>) {
    out = json;
    return Ok();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return internal::WrongType(path, "true or false", json);
    out = json.get<bool>();
    return Ok();
  } else if constexpr (std::is_integral_v<T>) {
    METIER_ASSIGN(const std::int64_t value, internal::ReadInteger(path, json));
    METIER_TRY(internal::CheckNumber(path, static_cast<double>(value), constraint));
    out = static_cast<T>(value);
    return Ok();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) return internal::WrongType(path, "a number", json);
    METIER_TRY(internal::CheckNumber(path, json.get<double>(), constraint));
    out = static_cast<T>(json.get<double>());
    return Ok();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) return internal::WrongType(path, "text", json);
    METIER_TRY(internal::CheckChoice(path, json.get_ref<const std::string&>(), constraint));
    out = json.get<std::string>();
    return Ok();
  } else if constexpr (internal::IsVector<T>::value) {
    if (!json.is_array()) return internal::WrongType(path, "a list", json);
    T items;
    for (std::size_t i = 0; i < json.size(); ++i) {
      typename T::value_type item{};
      METIER_TRY(ReadValue(json[i], path + "[" + std::to_string(i) + "]", constraint, item));
      items.push_back(std::move(item));
    }
    out = std::move(items);
    return Ok();
  } else if constexpr (internal::IsMap<T>::value) {
    METIER_TRY(internal::CheckIsObject(path, json));
    T items;
    for (const auto& [key, value] : json.items()) {
      METIER_TRY(ReadValue(value, path + "." + key, constraint, items[key]));
    }
    out = std::move(items);
    return Ok();
  } else {
    return ReadFields(json, path, out);
  }
}

// Writes a described struct as an object, fields in their order.
template <class T>
Json WriteValue(T& value);

class FieldWriter {
 public:
  template <class T>
  Constraint& operator()(const char* name, T& value, const char*) {
    document[name] = WriteValue(value);
    return ignored_;
  }
  Json document = Json::object();

 private:
  Constraint ignored_;
};

template <class T>
Json WriteValue(T& value) {
  if constexpr (internal::IsOptional<T>::value) {
    return value ? WriteValue(*value) : Json(nullptr);
  } else if constexpr (internal::IsVector<T>::value) {
    Json list = Json::array();
    for (auto&& item : value) list.push_back(WriteValue(item));
    return list;
  } else if constexpr (internal::IsMap<T>::value) {
    Json object = Json::object();
    for (auto& [key, item] : value) object[key] = WriteValue(item);
    return object;
  } else if constexpr (Described<T>) {
    FieldWriter writer;
    value.Visit(writer);
    return writer.document;
  } else {
    return Json(value);
  }
}

template <Described T>
Json WriteFields(const T& value) {
  T copy = value;  // Visit is one function for reading and writing, so it is not const
  return WriteValue(copy);
}

// The JSON Schema (2020-12) of a described struct, with defaults and descriptions.
class SchemaWriter {
 public:
  template <class T>
  Constraint& operator()(const char* name, T& value, const char* help) {
    entries_.push_back({name, help, TypeSchema<T>(), WriteValue(value), {}});
    return entries_.back().constraint;
  }

  Json Finish() const;
  void Reserve(std::size_t fields) { entries_.reserve(fields); }

  template <class T>
  static Json TypeSchema() {
    if constexpr (internal::IsOptional<T>::value) {
      return {
          {"anyOf", Json::array({TypeSchema<typename T::value_type>(), Json{{"type", "null"}}})}};
    } else if constexpr (internal::IsVector<T>::value) {
      return {{"type", "array"}, {"items", TypeSchema<typename T::value_type>()}};
    } else if constexpr (internal::IsMap<T>::value) {
      return {{"type", "object"}, {"additionalProperties", TypeSchema<typename T::mapped_type>()}};
    } else if constexpr (std::is_same_v<T, Json>) {
      return Json::object();
    } else if constexpr (std::is_same_v<T, bool>) {
      return {{"type", "boolean"}};
    } else if constexpr (std::is_integral_v<T>) {
      return {{"type", "integer"}};
    } else if constexpr (std::is_floating_point_v<T>) {
      return {{"type", "number"}};
    } else if constexpr (std::is_same_v<T, std::string>) {
      return {{"type", "string"}};
    } else {
      T value{};
      SchemaWriter writer;
      writer.Reserve(kMostFields);
      value.Visit(writer);
      return writer.Finish();
    }
  }

 private:
  static constexpr std::size_t kMostFields = 256;
  struct Entry {
    std::string name;
    std::string help;
    Json type;
    Json fallback;
    Constraint constraint;
  };
  std::vector<Entry> entries_;
};

template <Described T>
Json SchemaOf() {
  return SchemaWriter::TypeSchema<T>();
}

}  // namespace metier::recipe
