// A row of an output, read from its JSON object. Thread-compatible.
#ifndef MILLRACE_TESTS_CHAOS_ROW_H_
#define MILLRACE_TESTS_CHAOS_ROW_H_

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::chaos {

class Row {
 public:
  // False: no JSON object. Texts got from the row before are gone.
  bool Parse(std::string_view json) {
    complete_ =
        parser_.parse(json.data(), json.size()).get_object().get(object_) == simdjson::SUCCESS;
    return complete_;
  }

  // Columns that are missing, NULL or of another type read as zero, and complete() says so.
  int64_t Int(const char* column) { return Get<int64_t>(column); }
  double Double(const char* column) { return Get<double>(column); }
  std::string_view Text(const char* column) { return Get<std::string_view>(column); }

  bool complete() const { return complete_; }

 private:
  template <typename T>
  T Get(const char* column) {
    T value = {};
    if (object_[column].get(value) != simdjson::SUCCESS) {
      complete_ = false;
    }
    return value;
  }

  simdjson::dom::parser parser_;
  simdjson::dom::object object_;
  bool complete_ = false;
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_ROW_H_
