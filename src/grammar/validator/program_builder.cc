#include "grammar/validator/program_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "grammar/validator/circles.h"
#include "grammar/validator/keywords.h"

namespace metier::grammar::validator {

Result<std::shared_ptr<const Program>> BuildProgram(const Json& schema,
                                                    const SchemaOptions& options) {
  return ProgramBuilder(options).Build(schema);
}

ProgramBuilder::ProgramBuilder(const SchemaOptions& options)
    : options_(options), documents_(options), program_(std::make_shared<Program>()) {}

Result<std::shared_ptr<const Program>> ProgramBuilder::Build(const Json& schema) {
  METIER_ASSIGN(const Place root, documents_.AddRoot(schema));
  program_->root = Want(root);
  do {
    METIER_TRY(FillNodes());
  } while (AddAnchored());
  for (const Resource& resource : documents_.resources()) {
    program_->resource_uris.push_back(resource.base.Document());
  }
  program_->documents = documents_.Share();
  program_->max_depth = options_.limits.max_json_depth;
  program_->max_steps = options_.max_steps;
  METIER_TRY(RefuseCircles(*program_));
  return std::shared_ptr<const Program>(std::move(program_));
}

Node* ProgramBuilder::Want(const Place& place) {
  const auto [at, added] = node_of_.emplace(place.schema, nullptr);
  if (!added) {
    at->second->shared = true;
    return at->second;
  }
  program_->nodes.push_back(std::make_unique<Node>());
  Node* node = program_->nodes.back().get();
  node->resource = place.resource;
  node->pointer = place.pointer;
  at->second = node;
  unfilled_.emplace_back(node, place);
  return node;
}

std::size_t ProgramBuilder::WantAnchor(const std::string& name) {
  const auto known = std::find(anchor_names_.begin(), anchor_names_.end(), name);
  if (known != anchor_names_.end()) {
    return static_cast<std::size_t>(known - anchor_names_.begin());
  }
  anchor_names_.push_back(name);
  program_->dynamic_anchors.emplace_back();
  return anchor_names_.size() - 1;
}

Status ProgramBuilder::FillNodes() {
  while (!unfilled_.empty()) {
    const auto [node, place] = std::move(unfilled_.front());
    unfilled_.pop_front();
    METIER_TRY(Fill(*node, place));
  }
  return Ok();
}

Status ProgramBuilder::Fill(Node& node, const Place& place) {
  if (place.schema->is_boolean()) {
    node.kind = place.schema->get<bool>() ? Node::Kind::kTrue : Node::Kind::kFalse;
    return Ok();
  }
  if (place.schema->empty()) {
    node.kind = Node::Kind::kTrue;
    return Ok();
  }
  NodeBuilder builder(*this, node, place);
  const bool only_ref =
      builder.dialect().RefStandsAlone() && place.schema->find("$ref") != place.schema->end();
  for (const auto& [keyword, value] : place.schema->get_ref<const Json::object_t&>()) {
    if (only_ref && keyword != "$ref") continue;
    const KeywordRow* row = FindKeyword(keyword, builder.dialect());
    if (row == nullptr) continue;
    builder.set_keyword(row->name);
    auto built = row->build(builder, value);
    if (!built.ok()) {
      return std::move(built).error().With(
          fmt::format("schema '{}/{}'", Excerpt(documents_.Name(place), 200), keyword));
    }
  }
  return Ok();
}

bool ProgramBuilder::AddAnchored() {
  bool any = false;
  for (std::size_t name = 0; name < anchor_names_.size(); ++name) {
    for (int id = 0; id < static_cast<int>(documents_.resources().size()); ++id) {
      if (program_->dynamic_anchors[name].contains(id)) continue;
      const Resource& resource = documents_.resources()[static_cast<std::size_t>(id)];
      const Place* place = nullptr;
      const Place root = {resource.root, id, ""};
      if (anchor_names_[name].empty()) {  // $recursiveAnchor, which has no name
        if (resource.recursive_anchor) place = &root;
      } else {
        const auto anchor = resource.anchors.find(anchor_names_[name]);
        if (anchor != resource.anchors.end() && anchor->second.dynamic) {
          place = &anchor->second.place;
        }
      }
      if (place == nullptr) continue;
      Node* node = Want(*place);
      node->shared = true;  // by whatever refers to the anchor
      program_->dynamic_anchors[name].emplace(id, node);
      any = true;
    }
  }
  return any;
}

NodeBuilder::NodeBuilder(ProgramBuilder& program, Node& node, Place place)
    : program_(program), node_(node), place_(std::move(place)) {}

const Dialect& NodeBuilder::dialect() const {
  return program_.documents().resources()[static_cast<std::size_t>(place_.resource)].dialect;
}

bool NodeBuilder::AssertsFormats() const {
  return dialect().assert_formats || program_.options().formats == SchemaFormats::kAssert;
}

NumberRules& NodeBuilder::number() {
  if (node_.number == nullptr) node_.number = std::make_unique<NumberRules>();
  return *node_.number;
}

StringRules& NodeBuilder::string() {
  if (node_.string == nullptr) node_.string = std::make_unique<StringRules>();
  return *node_.string;
}

ArrayRules& NodeBuilder::array() {
  if (node_.array == nullptr) node_.array = std::make_unique<ArrayRules>();
  return *node_.array;
}

ObjectRules& NodeBuilder::object() {
  if (node_.object == nullptr) node_.object = std::make_unique<ObjectRules>();
  return *node_.object;
}

SameValueRules& NodeBuilder::same_value() {
  if (node_.same_value == nullptr) node_.same_value = std::make_unique<SameValueRules>();
  return *node_.same_value;
}

Result<const Node*> NodeBuilder::Child(const Json& schema, std::string_view step) {
  if (!schema.is_object() && !schema.is_boolean()) {
    return Unfit(schema, "a schema: an object, true or false");
  }
  return program_.Want(
      program_.documents().Below(place_, schema, fmt::format("/{}{}", keyword_, step)));
}

Result<Target> NodeBuilder::Find(std::string_view reference) {
  auto found = program_.documents().Find(place_.resource, reference);
  if (!found.ok()) {
    return std::move(found).error().With(fmt::format("'{}'", Excerpt(reference, 200)));
  }
  return found;
}

const Node* NodeBuilder::Want(const Target& target) { return program_.Want(target.place); }

Result<const Node*> NodeBuilder::Reference(std::string_view reference) {
  METIER_ASSIGN(const Target target, Find(reference));
  return Want(target);
}

Place NodeBuilder::ResourceRoot() const {
  const Resource& resource =
      program_.documents().resources()[static_cast<std::size_t>(place_.resource)];
  return {resource.root, place_.resource, ""};
}

bool NodeBuilder::HasRecursiveAnchor() const {
  return program_.documents()
      .resources()[static_cast<std::size_t>(place_.resource)]
      .recursive_anchor;
}

Error NodeBuilder::Unfit(const Json& value, std::string_view expected) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("found {}, expected {}", Describe(value), expected)};
}

}  // namespace metier::grammar::validator
