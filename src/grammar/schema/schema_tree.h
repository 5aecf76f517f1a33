// grammar/schema/schema_tree.h - a JSON Schema document as numbered subschemas, references found.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::grammar {

using SchemaId = std::int32_t;

// What a draft decides about reading.
enum class Draft {
  kDraft7,  // and older ones: beside $ref nothing counts
  k2019,    // and newer ones, and documents that name none
};

class SchemaTree {
 public:
  // Copies the document. kUnsupported: a $schema that is none of JSON Schema's drafts.
  // kInvalidArgument: a document that is neither an object nor a boolean.
  static Result<SchemaTree> Open(const Json& document);

  SchemaId root() const { return 0; }
  Draft draft() const { return draft_; }
  const Json& Schema(SchemaId id) const { return *places_[At(id)].schema; }
  // Where it stands, as a JSON pointer with "#" before it.
  const std::string& PathOf(SchemaId id) const { return places_[At(id)].path; }

  // A subschema of a place: `value` is part of its schema, `words` lead there ("properties/a").
  SchemaId Inside(SchemaId id, const Json& value, std::string_view words);
  // What a reference in a place means. kNotFound: nothing in this document; kUnsupported: another
  // document.
  Result<SchemaId> Refer(SchemaId id, const std::string& reference);
  // A schema of our own, of the values that are equal to this array or object.
  SchemaId EqualTo(const Json& value);
  // A schema of our own, of no value.
  SchemaId Never();

 private:
  struct Place {
    const Json* schema = nullptr;
    std::string path;
    std::string base;  // URI
  };
  static std::size_t At(SchemaId id) { return static_cast<std::size_t>(id); }
  SchemaId Add(const Json& schema, std::string path, const std::string& base);
  SchemaId Own(Json schema);
  void FindIds(const Json& value, const std::string& path, const std::string& base);
  std::string IdOf(const Json& schema) const;
  // Walks a JSON pointer from a place.
  Result<SchemaId> Follow(SchemaId from, std::string_view pointer, const std::string& reference);

  Draft draft_ = Draft::k2019;
  std::deque<Json> documents_;  // the first is the user's
  std::vector<Place> places_;
  std::map<const Json*, SchemaId> ids_;
  std::map<std::string, SchemaId> resources_;  // by URI, anchors among them
  std::map<std::string, SchemaId> equal_;      // by the value's text
  SchemaId never_ = -1;
};

}  // namespace metier::grammar
