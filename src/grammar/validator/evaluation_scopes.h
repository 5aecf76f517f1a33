// grammar/validator/evaluation_scopes.h - what Evaluation undoes when it leaves: for its sources.
//
// Early returns are many there; these make each of them restore the path, the depth and the scope.
#pragma once

#include <cstddef>
#include <string>

#include "grammar/validator/evaluation.h"

namespace metier::grammar::validator {

// A step from a value to one of its items or properties.
class Evaluation::Inside {
 public:
  Inside(Evaluation& evaluation, std::size_t index) : evaluation_(evaluation) {
    evaluation_.path_.push_back({nullptr, index});
  }
  // The name is borrowed.
  Inside(Evaluation& evaluation, const std::string& name) : evaluation_(evaluation) {
    evaluation_.path_.push_back({&name, 0});
  }
  ~Inside() { evaluation_.path_.pop_back(); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Evaluation& evaluation_;
};

// A node being applied: one level deeper, and inside the node's schema resource where any
// $dynamicRef wants to know the way.
class Evaluation::Applying {
 public:
  Applying(Evaluation& evaluation, const Node& node)
      : evaluation_(evaluation), scope_(evaluation.scope_), resource_(evaluation.resource_) {
    ++evaluation_.depth_;
    if (!evaluation_.program_.dynamic_anchors.empty() && node.resource != resource_) {
      evaluation_.scope_ = evaluation_.Enter(scope_, node.resource);
      evaluation_.resource_ = node.resource;
    }
  }
  ~Applying() {
    --evaluation_.depth_;
    evaluation_.scope_ = scope_;
    evaluation_.resource_ = resource_;
  }
  Applying(const Applying&) = delete;
  Applying& operator=(const Applying&) = delete;

 private:
  Evaluation& evaluation_;
  int scope_;
  int resource_;
};

}  // namespace metier::grammar::validator
