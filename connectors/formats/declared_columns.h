// The declared columns of a source while its records are decoded. Columns that a query reads are
// built; values of the others are only checked. So the table's declaration decides whether a record
// is bad, and not the columns that this job's queries read. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_DECLARED_COLUMNS_H_
#define MILLRACE_CONNECTORS_FORMATS_DECLARED_COLUMNS_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/columnar/column.h"
#include "connectors/format.h"
#include "proto/plan.pb.h"

namespace millrace {

// Columns are numbered as in the declaration. If several calls are for the same row and column, the
// last one counts, except that NULL is final.
class DeclaredColumns {
 public:
  // REQUIRES: source.columns name declared columns by their place.
  explicit DeclaredColumns(const proto::Source& source);

  size_t size() const { return columns_.size(); }
  const SqlType& type(size_t column) const { return columns_[column].type; }
  const std::string& name(size_t column) const { return columns_[column].name; }

  // Whether a query reads the column.
  bool reads(size_t column) const { return columns_[column].read; }

  // Begins new columns for these payloads.
  void Begin(const PayloadSpan& payloads);
  // Returns the columns that are read, in the order of source.columns. Begin must come next.
  std::vector<ColumnPtr> Finish();

  void SetNull(size_t column, size_t row) {
    if (columns_[column].read) {
      columns_[column].values->SetNull(row);
    }
  }

  // REQUIRES: T is the value type of the column's type.
  template <typename T>
  void Set(size_t column, size_t row, const T& value) {
    Declared& declared = columns_[column];
    declared.values->mutable_values<T>()[declared.read ? row : 0] = value;
  }

  // For columns of type text. The view must live as long as the payloads' owner.
  void SetTextView(size_t column, size_t row, std::string_view text) {
    Set(column, row, TextView(text));
  }
  void SetTextCopy(size_t column, size_t row, std::string_view text) {
    if (columns_[column].read) {
      columns_[column].values->SetTextCopy(row, text);
    }
  }

  // Parses `text` as PostgreSQL's text form of the column's type.
  absl::Status Parse(size_t column, size_t row, std::string_view text);

 private:
  struct Declared {
    SqlType type;
    std::string name;
    bool read = false;
    // A row per payload if a query reads the column, else one row for checks.
    std::shared_ptr<Column> values;
  };

  std::vector<Declared> columns_;
  std::vector<size_t> outputs_;  // indexes of columns_, in the order of source.columns
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_DECLARED_COLUMNS_H_
