#include "sql/catalog/catalog.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/spelling.h"
#include "plan/logical/sql_error.h"

namespace millrace::sql {

absl::Status Catalog::CheckFree(const std::string& name, int32_t position) const {
  if (Contains(name)) {
    return plan::ErrorAt(position, absl::StrCat("\"", name, "\" already exists"));
  }
  return absl::OkStatus();
}

bool Catalog::Contains(const std::string& name) const {
  return tables_.count(name) > 0 || views_.count(name) > 0;
}

absl::Status Catalog::AddTable(TableDefinition table) {
  RETURN_IF_ERROR(CheckFree(table.name, table.position));
  std::string name = table.name;
  tables_.emplace(std::move(name), std::move(table));
  return absl::OkStatus();
}

absl::Status Catalog::AddView(ViewDefinition view, bool replace) {
  if (replace) {
    views_.erase(view.name);
  }
  RETURN_IF_ERROR(CheckFree(view.name, view.position));
  std::string name = view.name;
  views_.emplace(std::move(name), std::move(view));
  return absl::OkStatus();
}

absl::StatusOr<Catalog::Entry> Catalog::Find(const std::string& name, int32_t position) const {
  if (const auto table = tables_.find(name); table != tables_.end()) {
    return Entry{.table = &table->second};
  }
  if (const auto view = views_.find(name); view != views_.end()) {
    return Entry{.view = &view->second};
  }
  std::vector<std::string> known;
  known.reserve(tables_.size() + views_.size());
  for (const auto& [table_name, table] : tables_) {
    known.push_back(table_name);
  }
  for (const auto& [view_name, view] : views_) {
    known.push_back(view_name);
  }
  return plan::ErrorAt(
      position, absl::StrCat("table \"", name, "\" does not exist", plan::DidYouMean(name, known)));
}

}  // namespace millrace::sql
