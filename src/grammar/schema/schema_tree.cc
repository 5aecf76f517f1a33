#include "grammar/schema/schema_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace metier::grammar {
namespace {

// One word of a JSON pointer as a document spells it.
std::string PointerWord(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string WordOfPointer(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const bool escape = word[i] == '~' && i + 1 < word.size();
    if (!escape) {
      out += word[i];
      continue;
    }
    ++i;
    out += word[i] == '1' ? '/' : '~';
  }
  return out;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string Unescaped(std::string_view fragment) {
  std::string out;
  for (std::size_t i = 0; i < fragment.size(); ++i) {
    const bool escape = fragment[i] == '%' && i + 2 < fragment.size() &&
                        HexValue(fragment[i + 1]) >= 0 && HexValue(fragment[i + 2]) >= 0;
    if (!escape) {
      out += fragment[i];
      continue;
    }
    out += static_cast<char>(HexValue(fragment[i + 1]) * 16 + HexValue(fragment[i + 2]));
    i += 2;
  }
  return out;
}

// A reference against the URI of where it stands, as far as schemas need it (RFC 3986, 5.2).
std::string Resolved(const std::string& base, const std::string& reference) {
  if (reference.empty() || reference.front() == '#') {
    return base.substr(0, base.find('#')) + reference;
  }
  const std::size_t scheme = reference.find(':');
  if (scheme != reference.npos && scheme < std::min(reference.find('/'), reference.find('#')))
    return reference;
  const std::size_t authority = base.find("://");
  if (reference.front() == '/') {
    const std::size_t path = authority == base.npos ? 0 : base.find('/', authority + 3);
    return base.substr(0, path) + reference;
  }
  const std::string own = base.substr(0, base.find('#'));
  const std::size_t slash = own.rfind('/');
  const bool in_authority = authority != own.npos && slash < authority + 3;
  if (in_authority) return own + "/" + reference;
  return (slash == own.npos ? "" : own.substr(0, slash + 1)) + reference;
}

// Of the values equal to an array or object; what is inside is equal by `const`.
Json SchemaOf(const Json& value) {
  if (value.is_array()) {
    Json schema = {{"type", "array"}, {"items", false}, {"minItems", value.size()}};
    if (!value.empty()) schema["prefixItems"] = Json::array();
    for (const Json& part : value) schema["prefixItems"].push_back({{"const", part}});
    return schema;
  }
  Json schema = {{"type", "object"}, {"additionalProperties", false}};
  schema["properties"] = Json::object();
  schema["required"] = Json::array();
  for (const auto& [key, part] : value.items()) {
    schema["properties"][key] = {{"const", part}};
    schema["required"].push_back(key);
  }
  return schema;
}

}  // namespace

Result<SchemaTree> SchemaTree::Open(const Json& document) {
  SchemaTree tree;
  tree.documents_.push_back(document);
  const Json& own = tree.documents_.front();
  if (!own.is_object() && !own.is_boolean()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("schema: found {}, expected an object or a boolean", own.type_name()));
  }
  if (own.is_object() && own.contains("$schema")) {
    const Json& name = own.at("$schema");
    const std::string uri = name.is_string() ? name.get<std::string>() : std::string();
    const bool known = uri.find("json-schema.org/") != uri.npos;
    if (!known) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("schema: $schema is {}, expected one of json-schema.org's",
                               DumpCompact(name)));
    }
    for (const char* old : {"draft-03", "draft-04", "draft-05", "draft-06", "draft-07"})
      if (uri.find(old) != uri.npos) tree.draft_ = Draft::kDraft7;
  }
  const std::string base = tree.IdOf(own);
  tree.Add(own, "#", base);
  tree.resources_.emplace(base.substr(0, base.find('#')), 0);
  tree.FindIds(own, "#", base);
  return tree;
}

std::string SchemaTree::IdOf(const Json& schema) const {
  if (!schema.is_object()) return "";
  for (const char* key : {"$id", "id"}) {
    const auto found = schema.find(key);
    if (found != schema.end() && found->is_string()) return found->get<std::string>();
  }
  return "";
}

SchemaId SchemaTree::Add(const Json& schema, std::string path, const std::string& base) {
  const auto next = static_cast<SchemaId>(places_.size());
  const auto [found, fresh] = ids_.try_emplace(&schema, next);
  if (fresh) places_.push_back({&schema, std::move(path), base});
  return found->second;
}

SchemaId SchemaTree::Own(Json schema) {
  documents_.push_back(std::move(schema));
  return Add(documents_.back(), "", "");
}

// Everything is looked through: what is no schema names nothing by chance.
void SchemaTree::FindIds(const Json& value, const std::string& path, const std::string& base) {
  std::string inner = base;
  if (value.is_object()) {
    const std::string id = IdOf(value);
    if (!id.empty()) {
      inner = Resolved(base, id);
      const SchemaId place = Add(value, path, inner);
      resources_.emplace(inner.substr(0, inner.find('#')), place);
      if (inner.find('#') != inner.npos) resources_.emplace(inner, place);
    }
    for (const char* key : {"$anchor", "$dynamicAnchor"}) {
      const auto anchor = value.find(key);
      if (anchor == value.end() || !anchor->is_string()) continue;
      resources_.emplace(inner.substr(0, inner.find('#')) + "#" + anchor->get<std::string>(),
                         Add(value, path, inner));
    }
    for (const auto& [key, part] : value.items())
      if (part.is_structured()) FindIds(part, path + "/" + PointerWord(key), inner);
  }
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      if (value[i].is_structured()) FindIds(value[i], path + "/" + std::to_string(i), inner);
  }
}

SchemaId SchemaTree::Inside(SchemaId id, const Json& value, std::string_view words) {
  const Place& place = places_[At(id)];
  const std::string own = IdOf(value);
  const std::string base = own.empty() ? place.base : Resolved(place.base, own);
  return Add(value, place.path + "/" + std::string(words), base);
}

Result<SchemaId> SchemaTree::Follow(SchemaId from, std::string_view pointer,
                                    const std::string& reference) {
  const Json* value = &Schema(from);
  std::string path = PathOf(from);
  std::string base = places_[At(from)].base;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view word = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(word.size());
    const std::string key = WordOfPointer(word);
    const Json* next = nullptr;
    if (value->is_object()) {
      const auto found = value->find(key);
      if (found != value->end()) next = &*found;
    } else if (value->is_array() && !key.empty() && key.size() < 10 &&
               std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; })) {
      const auto index = static_cast<std::size_t>(std::stoul(key));
      if (index < value->size()) next = &(*value)[index];
    }
    if (next == nullptr) {
      return Error(ErrorCode::kNotFound,
                   fmt::format("$ref '{}': '{}' has no '{}'", reference, path, key));
    }
    value = next;
    path += "/" + std::string(word);
    if (const std::string id = IdOf(*value); !id.empty()) base = Resolved(base, id);
  }
  if (!value->is_object() && !value->is_boolean()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("$ref '{}': '{}' is no schema", reference, path));
  }
  return Add(*value, path, base);
}

Result<SchemaId> SchemaTree::Refer(SchemaId id, const std::string& reference) {
  const std::string whole = Resolved(places_[At(id)].base, reference);
  const std::size_t hash = std::min(whole.find('#'), whole.size());
  const std::string fragment =
      hash < whole.size() ? Unescaped(std::string_view(whole).substr(hash + 1)) : std::string();
  const auto anchored = resources_.find(whole);
  if (!fragment.empty() && fragment.front() != '/' && anchored != resources_.end())
    return anchored->second;
  const auto resource = resources_.find(whole.substr(0, hash));
  if (resource == resources_.end()) {
    // Documents give themselves URIs that their references do not use.
    if (reference.front() == '#' && (fragment.empty() || fragment.front() == '/'))
      return Follow(root(), fragment, reference);
    return Error(ErrorCode::kUnsupported,
                 fmt::format("$ref '{}': the document has no such part, and others are not read",
                             reference));
  }
  if (fragment.empty()) return resource->second;
  if (fragment.front() != '/') {
    return Error(ErrorCode::kNotFound,
                 fmt::format("$ref '{}': no $anchor of the document is called so", reference));
  }
  return Follow(resource->second, fragment, reference);
}

SchemaId SchemaTree::Never() {
  if (never_ < 0) never_ = Own(Json(false));
  return never_;
}

SchemaId SchemaTree::EqualTo(const Json& value) {
  const auto [found, fresh] = equal_.try_emplace(value.dump(), -1);
  if (fresh) found->second = Own(SchemaOf(value));
  return found->second;
}

}  // namespace metier::grammar
