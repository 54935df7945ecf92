#include "executor/operators/aggregate/aggregate_payload.h"

#include <memory>

#include "common/base/status.h"

namespace millrace::executor {

std::vector<SqlType> AggregatePayload::types() const {
  std::vector<SqlType> types;
  for (const AggregateLayout::Entry& entry : layout_.entries()) {
    const std::vector<SqlType>& partials = entry.function->partial_types();
    types.insert(types.end(), partials.begin(), partials.end());
  }
  types.push_back(MakeType(TypeId::kInt64));  // weight
  types.push_back(MakeType(TypeId::kBool));   // visible
  return types;
}

void AggregatePayload::Init(std::span<const GroupTable::Added> groups, GroupTable* table) {
  layout_.Init(groups, table);
  if (visible_.size() < table->limit()) {
    visible_.resize(table->limit());
  }
  for (const GroupTable::Added& group : groups) {
    visible_[group.group] = 0;
  }
}

void AggregatePayload::Destroy(std::span<const uint32_t> groups, GroupTable* table) {
  for (const uint32_t group : groups) {
    layout_.Destroy(group, table);
  }
}

void AggregatePayload::OwnedBytes(std::span<const uint32_t> groups, GroupTable* table,
                                  uint32_t* bytes) const {
  for (size_t i = 0; i < groups.size(); ++i) {
    bytes[i] = static_cast<uint32_t>(layout_.OwnedBytes(groups[i], table));
  }
}

void AggregatePayload::Emit(std::span<const uint32_t> groups, GroupTable* table,
                            std::vector<ColumnPtr>* columns) const {
  for (const AggregateLayout::Entry& entry : layout_.entries()) {
    entry.function->EmitPartial(layout_.States(entry, table), groups.data(), groups.size(),
                                columns);
  }
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), groups.size());
  auto visible = std::make_shared<Column>(MakeType(TypeId::kBool), groups.size());
  const AggregateStates sums = layout_.Weights(table);
  for (size_t i = 0; i < groups.size(); ++i) {
    weights->mutable_values<int64_t>()[i] = sums.at<int64_t>(groups[i]);
    visible->mutable_values<uint8_t>()[i] = visible_[groups[i]];
  }
  columns->push_back(std::move(weights));
  columns->push_back(std::move(visible));
}

absl::Status AggregatePayload::Fill(std::span<const ColumnPtr> columns, RowSet rows,
                                    const uint32_t* groups, GroupTable* table) {
  auto column = columns.begin();
  for (const AggregateLayout::Entry& entry : layout_.entries()) {
    const auto end = column + static_cast<ptrdiff_t>(entry.function->partial_types().size());
    RETURN_IF_ERROR(
        entry.function->MergePartial({column, end}, rows, groups, layout_.States(entry, table)));
    column = end;
  }
  const int64_t* weights = column[0]->values<int64_t>();
  const auto* visible = column[1]->values<uint8_t>();
  const AggregateStates sums = layout_.Weights(table);
  for (size_t i = 0; i < rows.count; ++i) {
    sums.at<int64_t>(groups[i]) = weights[rows[i]];
    visible_[groups[i]] = visible[rows[i]];
  }
  return absl::OkStatus();
}

}  // namespace millrace::executor
