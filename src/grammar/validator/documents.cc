#include "grammar/validator/documents.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "grammar/validator/json_value.h"
#include "grammar/validator/keywords.h"
#include "grammar/validator/metaschemas.h"

namespace metier::grammar::validator {
namespace {

// A metaschema of a metaschema of ...: people write one level.
constexpr int kMaxMetaschemas = 8;
// Objects with more members get an index for pointers.
constexpr std::size_t kFewMembers = 32;

// ~1 is a slash, ~0 a tilde. Nothing for another tilde.
std::optional<std::string> DecodeStep(std::string_view step) {
  std::string decoded;
  for (std::size_t i = 0; i < step.size(); ++i) {
    if (step[i] != '~') {
      decoded += step[i];
      continue;
    }
    ++i;
    if (i >= step.size() || (step[i] != '0' && step[i] != '1')) return std::nullopt;
    decoded += step[i] == '0' ? '~' : '/';
  }
  return decoded;
}

const Json* FindMember(const Json& schema, std::string_view name) {
  if (!schema.is_object()) return nullptr;
  const auto found = schema.find(name);
  return found == schema.end() ? nullptr : &*found;
}

Error NotAName(std::string_view keyword, const Json& value) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: found {}, expected a name as text", keyword, Describe(value))};
}

}  // namespace

Documents::Documents(const SchemaOptions& options) : options_(options) {
  for (const auto& [uri, document] : options.documents) {
    offered_.emplace(Uri::Parse(uri).Document(), &document);
  }
}

Result<Place> Documents::AddRoot(const Json& schema) {
  const Dialect fallback = {.draft = options_.default_draft};
  METIER_ASSIGN(const int resource, AddDocument(schema, Uri::Parse(options_.base_uri), fallback));
  return Place{resources_[static_cast<std::size_t>(resource)].root, resource, ""};
}

std::string Documents::Name(const Place& place) const {
  return resources_[static_cast<std::size_t>(place.resource)].base.Document() + "#" + place.pointer;
}

Place Documents::Below(const Place& parent, const Json& schema, std::string_view step) const {
  const auto own = resource_of_root_.find(&schema);
  if (own != resource_of_root_.end()) return {&schema, own->second, ""};
  return {&schema, parent.resource, parent.pointer + std::string(step)};
}

const Json* Documents::FindDocument(const std::string& uri) const {
  const auto offered = offered_.find(uri);
  return offered != offered_.end() ? offered->second : FindMetaschema(uri);
}

Result<int> Documents::Load(const std::string& uri, const Dialect& fallback) {
  const auto known = by_uri_.find(uri);
  if (known != by_uri_.end()) return known->second;
  const Json* document = FindDocument(uri);
  if (document == nullptr) {
    return Error(ErrorCode::kNotFound,
                 fmt::format("no document '{}' is known; documents are not fetched but given in "
                             "the options",
                             Excerpt(uri)));
  }
  auto loaded = AddDocument(*document, Uri::Parse(uri), fallback);
  if (!loaded.ok()) {
    return std::move(loaded).error().With(fmt::format("document '{}'", Excerpt(uri)));
  }
  return loaded;
}

Result<int> Documents::AddDocument(const Json& given, const Uri& uri, const Dialect& fallback) {
  if (!given.is_object() && !given.is_boolean()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("schema: found {}, expected an object, true or false", Describe(given)));
  }
  if (!NestsWithin(given, options_.limits.max_json_depth)) {  // before copying, which recurses
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("schema: nested deeper than {} levels, the limit",
                             options_.limits.max_json_depth));
  }
  METIER_ASSIGN(const Dialect dialect, DialectOf(given, fallback, kMaxMetaschemas));
  const auto document = std::make_shared<const Json>(given);
  documents_.push_back(document);
  const int id = static_cast<int>(resources_.size());
  resources_.push_back({.base = uri,
                        .root = document.get(),
                        .document = static_cast<int>(documents_.size()) - 1,
                        .dialect = dialect});
  resources_.back().base.fragment.reset();
  resource_of_root_.emplace(document.get(), id);
  METIER_TRY(AddName(uri.Document(), id));
  METIER_TRY(Walk({document.get(), id, ""}));
  return id;
}

Status Documents::Walk(const Place& root) {
  std::vector<Place> open = {root};
  while (!open.empty()) {
    Place place = std::move(open.back());
    open.pop_back();
    if (!place.schema->is_object()) continue;
    auto read = ReadNames(place);
    if (!read.ok()) return std::move(read).error().With("schema '" + Name(place) + "'");
    const Dialect dialect = resources_[static_cast<std::size_t>(place.resource)].dialect;
    for (const auto& [keyword, value] : place.schema->get_ref<const Json::object_t&>()) {
      const KeywordRow* row = FindKeyword(keyword, dialect);
      if (row == nullptr) continue;
      const std::string begin = place.pointer + "/" + keyword;  // names of keywords need no escape
      VisitSchemas(row->shape, value, [&](const Json& schema, const std::string& step) {
        open.push_back({&schema, place.resource, begin + step});
      });
    }
  }
  return Ok();
}

Status Documents::ReadNames(Place& place) {
  const Dialect& outer = resources_[static_cast<std::size_t>(place.resource)].dialect;
  if (outer.RefStandsAlone() && FindMember(*place.schema, "$ref") != nullptr) return Ok();
  METIER_TRY(ReadId(place));
  return ReadAnchors(place);
}

Status Documents::ReadId(Place& place) {
  const Resource& outer = resources_[static_cast<std::size_t>(place.resource)];
  const std::string_view keyword = outer.dialect.IdKeyword();
  const Json* id = FindMember(*place.schema, keyword);
  if (id == nullptr) return Ok();
  if (!id->is_string()) return NotAName(keyword, *id);
  Uri reference = Uri::Parse(id->get_ref<const std::string&>());
  const std::string fragment = reference.fragment.value_or("");
  reference.fragment.reset();
  if (!fragment.empty() && outer.dialect.draft >= SchemaDraft::kDraft201909) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{} {}: expected no fragment; anchors are named by $anchor", keyword,
                             Describe(*id)));
  }
  if (!reference.Document().empty()) {
    const Uri base = outer.base.Resolve(reference);
    if (outer.root == place.schema) {  // the document's own: a second name, and the new base
      resources_[static_cast<std::size_t>(place.resource)].base = base;
      METIER_TRY(AddName(base.Document(), place.resource));
    } else {
      METIER_ASSIGN(place.resource, AddResource(place, base));
      place.pointer.clear();
    }
  }
  // Up to draft 07 a fragment is the anchor's name, unless it is a pointer.
  if (fragment.empty() || fragment.front() == '/') return Ok();
  return AddAnchor(place, PercentDecode(fragment), /*dynamic=*/false);
}

Status Documents::ReadAnchors(const Place& place) {
  Resource& resource = resources_[static_cast<std::size_t>(place.resource)];
  const SchemaDraft draft = resource.dialect.draft;
  if (draft < SchemaDraft::kDraft201909) return Ok();
  for (const std::string_view keyword : {"$anchor", "$dynamicAnchor"}) {
    const bool dynamic = keyword == "$dynamicAnchor";
    const Json* anchor = FindMember(*place.schema, keyword);
    if (anchor == nullptr || (dynamic && draft < SchemaDraft::kDraft202012)) continue;
    if (!anchor->is_string() || anchor->get_ref<const std::string&>().empty()) {
      return NotAName(keyword, *anchor);
    }
    METIER_TRY(AddAnchor(place, anchor->get_ref<const std::string&>(), dynamic));
  }
  const Json* recursive = FindMember(*place.schema, "$recursiveAnchor");
  if (draft == SchemaDraft::kDraft201909 && recursive != nullptr && resource.root == place.schema) {
    resource.recursive_anchor = recursive->is_boolean() && recursive->get<bool>();
  }
  return Ok();
}

Result<int> Documents::AddResource(const Place& place, const Uri& base) {
  const Resource& outer = resources_[static_cast<std::size_t>(place.resource)];
  METIER_ASSIGN(const Dialect dialect, DialectOf(*place.schema, outer.dialect, kMaxMetaschemas));
  const int id = static_cast<int>(resources_.size());
  resources_.push_back(
      {.base = base, .root = place.schema, .document = outer.document, .dialect = dialect});
  resource_of_root_.emplace(place.schema, id);
  METIER_TRY(AddName(base.Document(), id));
  return id;
}

Status Documents::AddName(const std::string& uri, int resource) {
  const auto [at, added] = by_uri_.emplace(uri, resource);
  if (added || at->second == resource) return Ok();
  const auto document_of = [this](int id) {
    return resources_[static_cast<std::size_t>(id)].document;
  };
  // Another document may hold a copy of this one: the first keeps the name.
  if (document_of(at->second) != document_of(resource)) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("two schemas are named '{}'", Excerpt(uri)));
}

Status Documents::AddAnchor(const Place& place, const std::string& name, bool dynamic) {
  auto& anchors = resources_[static_cast<std::size_t>(place.resource)].anchors;
  const auto [at, added] = anchors.emplace(name, Anchor{place, dynamic});
  if (added) return Ok();
  if (at->second.place.schema == place.schema) {  // both kinds on one schema
    at->second.dynamic |= dynamic;
    return Ok();
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("two schemas of '{}' have the anchor '{}'",
                           Name({place.schema, place.resource, ""}), Excerpt(name)));
}

Result<Target> Documents::Find(int resource, std::string_view reference) {
  const Resource& from = resources_[static_cast<std::size_t>(resource)];
  const Uri target = from.base.Resolve(Uri::Parse(reference));
  METIER_ASSIGN(const int id, Load(target.Document(), from.dialect));
  const std::string fragment = PercentDecode(target.fragment.value_or(""));
  if (fragment.empty() || fragment.front() == '/') {
    METIER_ASSIGN(Place place, FollowPointer(id, fragment));
    return Target{std::move(place), ""};
  }
  const Resource& to = resources_[static_cast<std::size_t>(id)];
  const auto anchor = to.anchors.find(fragment);
  if (anchor == to.anchors.end()) {
    return Error(ErrorCode::kNotFound, fmt::format("'{}' has no anchor '{}'",
                                                   Name({to.root, id, ""}), Excerpt(fragment)));
  }
  return Target{anchor->second.place, anchor->second.dynamic ? fragment : ""};
}

const Json* Documents::StepInto(const Json& value, std::string_view step) {
  const auto decoded = DecodeStep(step);
  if (!decoded) return nullptr;
  if (value.is_object() && value.size() <= kFewMembers) return FindMember(value, *decoded);
  if (value.is_object()) {
    Members& members = members_[&value];
    if (members.empty()) {
      for (const auto& [name, member] : value.get_ref<const Json::object_t&>()) {
        members.emplace(name, &member);
      }
    }
    const auto found = members.find(*decoded);
    return found == members.end() ? nullptr : found->second;
  }
  if (!value.is_array()) return nullptr;
  std::size_t index = 0;
  const char* end = decoded->data() + decoded->size();
  const auto parsed = std::from_chars(decoded->data(), end, index);
  const bool leading_zero = decoded->size() > 1 && decoded->front() == '0';
  if (parsed.ec != std::errc() || parsed.ptr != end || leading_zero) return nullptr;
  return index < value.size() ? &value[index] : nullptr;
}

Result<Place> Documents::FollowPointer(int resource, std::string_view pointer) {
  Place place = {resources_[static_cast<std::size_t>(resource)].root, resource, ""};
  std::string_view rest = pointer;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view step = rest.substr(0, rest.find('/'));
    rest.remove_prefix(step.size());
    const Json* next = StepInto(*place.schema, step);
    if (next == nullptr) {
      return Error(ErrorCode::kNotFound,
                   fmt::format("'{}' has nothing at '{}'", Excerpt(Name({nullptr, resource, ""})),
                               Excerpt(pointer)));
    }
    place = Below(place, *next, "/" + std::string(step));
  }
  if (!place.schema->is_object() && !place.schema->is_boolean()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("at '{}' is {}, expected a schema", Excerpt(Name(place)),
                             Describe(*place.schema)));
  }
  return place;
}

Result<Dialect> Documents::DialectOf(const Json& schema, const Dialect& fallback,
                                     int levels) const {
  const Json* named = FindMember(schema, "$schema");
  if (named == nullptr) return fallback;
  if (!named->is_string()) return NotAName("$schema", *named);
  const std::string uri = Uri::Parse(named->get_ref<const std::string&>()).Document();
  if (const auto draft = DraftFromUri(uri)) return Dialect{.draft = *draft};
  const Json* metaschema = FindDocument(uri);
  if (metaschema == nullptr || levels == 0) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("$schema '{}' is unknown; known are the drafts 2020-12, 2019-09, 07, "
                             "06 and 04, and metaschemas given in the options",
                             Excerpt(uri)));
  }
  METIER_ASSIGN(const Dialect own, DialectOf(*metaschema, fallback, levels - 1));
  auto dialect = DialectFromMetaschema(*metaschema, own);
  if (!dialect.ok()) {
    return std::move(dialect).error().With(fmt::format("metaschema '{}'", Excerpt(uri)));
  }
  return dialect;
}

}  // namespace metier::grammar::validator
