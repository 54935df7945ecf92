// Maps names in a JSON document to the columns that they lead to. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_JSON_TREE_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_JSON_TREE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/formats/json/json_options.h"

namespace millrace {

// A name on the path of columns. Its value goes into `columns`, and values of names within it go
// into those of `children`.
class JsonTree {
 public:
  void Add(const JsonPath& path, size_t column) {
    JsonTree* node = this;
    for (const std::string& name : path) {
      node->beneath_.push_back(column);
      node = node->ChildFor(name);
    }
    node->beneath_.push_back(column);
    node->columns_.push_back(column);
  }

  // The child of that name; null if no column's path leads through it. Records of a table mostly
  // have the same names in the same order, so the search begins behind the last name that was
  // found. REQUIRES: eight bytes from the name's beginning can be read, however short the name is.
  JsonTree* Find(std::string_view name) {
    const uint64_t head = HeadOf(name.data(), name.size());
    JsonTree* const end = children_.data() + children_.size();
    JsonTree* child = children_.data() + next_;
    for (size_t left = children_.size(); left > 0; --left) {
      if (child->head_ == head && child->name_.size() == name.size() &&
          (name.size() <= kHeadBytes || child->name_ == name)) {
        next_ = child + 1 == end ? 0 : static_cast<size_t>(child + 1 - children_.data());
        return child;
      }
      child = child + 1 == end ? children_.data() : child + 1;
    }
    return nullptr;
  }

  const std::vector<size_t>& columns() const { return columns_; }
  bool has_children() const { return !children_.empty(); }
  // The columns of this name and of all names within its value.
  const std::vector<size_t>& beneath() const { return beneath_; }

 private:
  JsonTree* ChildFor(const std::string& name) {
    for (JsonTree& child : children_) {
      if (child.name_ == name) {
        return &child;
      }
    }
    JsonTree& child = children_.emplace_back();
    child.name_ = name;
    child.head_ = HeadOf((name + std::string(kHeadBytes, '\0')).data(), name.size());
    return &child;
  }

  // The first bytes of a name, zeros behind its end.
  static uint64_t HeadOf(const char* name, size_t size) {
    uint64_t head;
    std::memcpy(&head, name, sizeof(head));
    return size < kHeadBytes ? head & ((uint64_t{1} << (8 * size)) - 1) : head;
  }

  static constexpr size_t kHeadBytes = sizeof(uint64_t);

  std::string name_;
  uint64_t head_ = 0;
  std::vector<size_t> columns_;
  std::vector<size_t> beneath_;
  std::vector<JsonTree> children_;
  size_t next_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_JSON_TREE_H_
