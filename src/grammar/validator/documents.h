// grammar/validator/documents.h - the documents a schema is made of, and what the names in it mean.
//
// A document is walked once, when it is first needed, along the keywords that hold schemas: every
// $id begins a resource with a name, a dialect and anchors of its own. A thing that looks like an
// $id inside `enum`, `const` or an unknown keyword names nothing.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/schema_validator.h"
#include "grammar/validator/dialect.h"
#include "grammar/validator/uri.h"

namespace metier::grammar::validator {

// A schema somewhere in the documents: its text, and where that stands. The resource decides what
// relative references mean in it and which keywords are known.
struct Place {
  const Json* schema = nullptr;
  int resource = 0;
  std::string pointer;  // from the resource's root
};

struct Anchor {
  Place place;
  bool dynamic = false;  // by $dynamicAnchor
};

// A schema with a name, and all below it that has no name of its own.
struct Resource {
  Uri base;  // what references in it are resolved against, without a fragment
  const Json* root = nullptr;
  int document = 0;  // index of the document it lies in
  Dialect dialect;
  bool recursive_anchor = false;  // $recursiveAnchor: true, of 2019-09
  std::map<std::string, Anchor, std::less<>> anchors;
};

// What a reference leads to.
struct Target {
  Place place;
  std::string dynamic_anchor;  // the name, where it was reached by one and that one is dynamic
};

class Documents {
 public:
  // Borrows the options; the documents that are used are copied.
  explicit Documents(const SchemaOptions& options);

  // The schema itself, the first document. Errors as those of SchemaValidator::Compile.
  Result<Place> AddRoot(const Json& schema);

  // Where `reference`, written in a schema of `resource`, leads; loads the document that it names,
  // from the options first, then from the standard metaschemas.
  // kNotFound: nowhere. kInvalidArgument: to something that is no schema.
  Result<Target> Find(int resource, std::string_view reference);

  // The place of a schema that lies `step` ("/items/0") below `parent`: in a resource of its own
  // where it has an $id.
  Place Below(const Place& parent, const Json& schema, std::string_view step) const;

  // "https://example.com/a.json#/items", "#" for the root of a schema without a name.
  std::string Name(const Place& place) const;

  const std::deque<Resource>& resources() const { return resources_; }
  // The documents that were used, to be kept as long as places in them are.
  std::vector<std::shared_ptr<const Json>> Share() const { return documents_; }

 private:
  // These return the index of a resource. `fallback`: the dialect where the document does not say.
  Result<int> Load(const std::string& uri, const Dialect& fallback);
  Result<int> AddDocument(const Json& given, const Uri& uri, const Dialect& fallback);
  Status Walk(const Place& root);
  // Enters $id and the anchors of one schema; may move `place` into a new resource.
  Status ReadNames(Place& place);
  Status ReadId(Place& place);
  Status ReadAnchors(const Place& place);
  Result<int> AddResource(const Place& place, const Uri& base);
  Status AddAnchor(const Place& place, const std::string& name, bool dynamic);
  Status AddName(const std::string& uri, int resource);
  Result<Place> FollowPointer(int resource, std::string_view pointer);
  // The value one step of a JSON pointer further, or null.
  const Json* StepInto(const Json& value, std::string_view step);
  Result<Dialect> DialectOf(const Json& schema, const Dialect& fallback, int levels) const;
  const Json* FindDocument(const std::string& uri) const;

  const SchemaOptions& options_;
  std::map<std::string, const Json*, std::less<>> offered_;  // options.documents by tidy names
  std::vector<std::shared_ptr<const Json>> documents_;
  std::deque<Resource> resources_;
  std::map<std::string, int, std::less<>> by_uri_;
  std::unordered_map<const Json*, int> resource_of_root_;
  // Members of large objects that pointers lead through: Json finds a key by walking.
  using Members = std::unordered_map<std::string_view, const Json*>;
  std::unordered_map<const Json*, Members> members_;
};

}  // namespace metier::grammar::validator
