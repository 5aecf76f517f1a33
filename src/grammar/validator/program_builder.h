// grammar/validator/program_builder.h - compiles the schemas of documents into a Program.
//
// A queue, not recursion: an edge to a schema makes an empty node at once, which is filled when its
// turn comes. A schema is compiled once however many references lead to it; of other documents than
// the first only what references lead to is compiled.
//
//   keywords.cc   name -> Build function        build_*.cc   Build functions: value -> rules
//
// Cost: linear in the schemas compiled, plus PCRE2's time for patterns.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/validator/documents.h"
#include "grammar/validator/program.h"

namespace metier::grammar::validator {

// Errors as those of SchemaValidator::Compile.
Result<std::shared_ptr<const Program>> BuildProgram(const Json& schema,
                                                    const SchemaOptions& options);

class ProgramBuilder {
 public:
  // Borrows the options.
  explicit ProgramBuilder(const SchemaOptions& options);

  // Once.
  Result<std::shared_ptr<const Program>> Build(const Json& schema);

  // The node of a schema, made now and filled later.
  Node* Want(const Place& place);
  // The index of a dynamic anchor's name; its schemas, in whatever document, are compiled too.
  std::size_t WantAnchor(const std::string& name);

  Documents& documents() { return documents_; }
  const SchemaOptions& options() const { return options_; }

 private:
  // Fills until none is empty; filling makes further ones.
  Status FillNodes();
  Status Fill(Node& node, const Place& place);
  // Schemas of wanted anchors that were not known before. True: there were some.
  bool AddAnchored();

  const SchemaOptions& options_;
  Documents documents_;
  std::shared_ptr<Program> program_;
  std::unordered_map<const Json*, Node*> node_of_;
  std::deque<std::pair<Node*, Place>> unfilled_;  // in order: the first mistake is reported first
  std::vector<std::string> anchor_names_;         // as Program::dynamic_anchors
};

// One node while it is filled: what a Build function of a keyword works with.
class NodeBuilder {
 public:
  NodeBuilder(ProgramBuilder& program, Node& node, Place place);

  // The keyword whose value the Build function was given.
  std::string_view keyword() const { return keyword_; }
  void set_keyword(std::string_view keyword) { keyword_ = keyword; }
  const Json& schema() const { return *place_.schema; }
  const Dialect& dialect() const;
  // By the options or by the metaschema.
  bool AssertsFormats() const;

  Node& node() { return node_; }
  // The rules of a group, made when first asked for.
  NumberRules& number();
  StringRules& string();
  ArrayRules& array();
  ObjectRules& object();
  SameValueRules& same_value();

  // The node of a schema below this keyword, at `step` ("", "/0", "/name").
  // kInvalidArgument: not a schema.
  Result<const Node*> Child(const Json& schema, std::string_view step = "");
  // The node that a reference leads to.
  Result<const Node*> Reference(std::string_view reference);
  // The target of a reference, and its name where it is dynamic.
  Result<Target> Find(std::string_view reference);
  const Node* Want(const Target& target);
  std::size_t WantAnchor(const std::string& name) { return program_.WantAnchor(name); }
  // The root of this schema's resource, and whether it has $recursiveAnchor.
  Place ResourceRoot() const;
  bool HasRecursiveAnchor() const;

  // kInvalidArgument: "found 3, expected ...".
  static Error Unfit(const Json& value, std::string_view expected);

 private:
  ProgramBuilder& program_;
  Node& node_;
  Place place_;
  std::string_view keyword_;
};

}  // namespace metier::grammar::validator
