// Form, version 1, little-endian: u8 version, u8 flags (1 = weights, 2 = hashes), u32 columns, u32
// rows, the columns, then weights (8 bytes a row), then hashes (8 bytes a row). A column: u8 type,
// i32 precision, i32 scale, u8 element, u8 has_nulls, [bitmap]; then fixed-width values as they
// are (behind numerics the digits of the wide ones, one after another; their cells say how many
// bytes); or for text the u32 lengths and the bytes one after another; or for arrays the u32 sizes,
// u32 child rows and the child.
//
// The decoder trusts nothing. Before it allocates memory, it compares a length with the bytes that
// are there; before it reads an array's elements, it checks their type; and it checks each value
// against what its type can hold.
#include "common/columnar/batch_codec.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/jsonb_text.h"
#include "common/types/numeric.h"

namespace millrace {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kHasWeights = 1;
constexpr uint8_t kHasHashes = 2;
constexpr uint32_t kMaxRows =
    1u << 26;  // far above any batch; limits how much memory invalid bytes can make us allocate
constexpr uint32_t kMaxColumns = 1u << 14;

template <typename T>
void Put(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void EncodeColumn(const Column& column, RowSet rows, std::string* out);

void EncodeValidity(const Column& column, RowSet rows, std::string* out) {
  Put<uint8_t>(column.has_nulls() ? 1 : 0, out);
  if (!column.has_nulls()) {
    return;
  }
  size_t begin = out->size();
  out->append((rows.count + 7) / 8, '\0');
  for (size_t i = 0; i < rows.count; ++i) {
    if (!column.IsNull(rows[i])) {
      (*out)[begin + i / 8] = static_cast<char>((*out)[begin + i / 8] | (1 << (i % 8)));
    }
  }
}

void EncodeText(const Column& column, RowSet rows, std::string* out) {
  const auto* values = column.values<TextView>();
  size_t total = 0;
  for (size_t i = 0; i < rows.count; ++i) {
    uint32_t size = column.IsNull(rows[i]) ? 0 : values[rows[i]].size();
    Put<uint32_t>(size, out);
    total += size;
  }
  out->reserve(out->size() + total);
  for (size_t i = 0; i < rows.count; ++i) {
    if (!column.IsNull(rows[i])) {
      out->append(values[rows[i]].bytes(), values[rows[i]].size());
    }
  }
}

void EncodeFixed(const Column& column, RowSet rows, std::string* out) {
  auto width = static_cast<size_t>(column.type().ByteWidth());
  const auto* values = column.values<char>();
  if (rows.rows == nullptr) {
    out->append(values, rows.count * width);
    return;
  }
  for (size_t i = 0; i < rows.count; ++i) {
    out->append(values + rows[i] * width, width);
  }
}

// Encodes the cells, then the digits of the wide ones.
void EncodeNumerics(const Column& column, RowSet rows, std::string* out) {
  static_assert(sizeof(Numeric) == 32);
  const auto* values = column.values<Numeric>();
  size_t wide = 0;
  for (size_t i = 0; i < rows.count; ++i) {
    wide += values[rows[i]].IsWide() ? 1 : 0;
  }
  if (wide == 0) {
    return EncodeFixed(column, rows, out);
  }
  for (size_t i = 0; i < rows.count; ++i) {
    const Numeric& value = values[rows[i]];
    const Numeric cell = value.IsWide() ? value.WithDigitsAt(nullptr) : value;
    out->append(reinterpret_cast<const char*>(&cell), sizeof(cell));
  }
  for (size_t i = 0; i < rows.count; ++i) {
    out->append(values[rows[i]].digits());
  }
}

void EncodeLists(const Column& column, RowSet rows, std::string* out) {
  std::vector<uint32_t> elements;
  for (size_t i = 0; i < rows.count; ++i) {
    ListView list = column.IsNull(rows[i]) ? ListView{} : column.value<ListView>(rows[i]);
    Put<uint32_t>(list.size, out);
    for (uint32_t e = 0; e < list.size; ++e) {
      elements.push_back(list.begin + e);
    }
  }
  Put<uint32_t>(static_cast<uint32_t>(elements.size()), out);
  EncodeColumn(*column.child(), RowSet{elements.data(), elements.size()}, out);
}

void EncodeColumn(const Column& column, RowSet rows, std::string* out) {
  Put<uint8_t>(static_cast<uint8_t>(column.type().id), out);
  Put<int32_t>(column.type().precision, out);
  Put<int32_t>(column.type().scale, out);
  Put<uint8_t>(static_cast<uint8_t>(column.type().element), out);
  EncodeValidity(column, rows, out);
  if (column.type().IsText()) {
    return EncodeText(column, rows, out);
  }
  if (column.type().id == TypeId::kArray) {
    return EncodeLists(column, rows, out);
  }
  if (column.type().id == TypeId::kNumeric) {
    return EncodeNumerics(column, rows, out);
  }
  EncodeFixed(column, rows, out);
}

// Reads values from the front of a string, and checks every read.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  absl::StatusOr<T> Get() {
    ASSIGN_OR_RETURN(std::string_view raw, Bytes(sizeof(T)));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  absl::StatusOr<std::string_view> Bytes(size_t count) {
    if (count > bytes_.size()) {
      return absl::DataLossError(
          absl::StrCat("encoded batch ends ", count - bytes_.size(), " bytes early"));
    }
    std::string_view result = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return result;
  }
  // Checks that `count` bytes are there, without reading them, so that a false length costs no
  // memory.
  absl::Status Expect(uint64_t count) const {
    return count <= bytes_.size()
               ? absl::OkStatus()
               : absl::DataLossError(absl::StrCat("encoded batch promises ", count, " bytes where ",
                                                  bytes_.size(), " are left"));
  }
  bool AtEnd() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

absl::StatusOr<ColumnPtr> DecodeColumn(Reader* reader, uint32_t rows);
absl::StatusOr<ColumnPtr> DecodeValues(Reader* reader, const SqlType& type, uint32_t rows);

absl::StatusOr<SqlType> DecodeType(Reader* reader) {
  SqlType type;
  ASSIGN_OR_RETURN(uint8_t id, reader->Get<uint8_t>());
  ASSIGN_OR_RETURN(type.precision, reader->Get<int32_t>());
  ASSIGN_OR_RETURN(type.scale, reader->Get<int32_t>());
  ASSIGN_OR_RETURN(uint8_t element, reader->Get<uint8_t>());
  constexpr auto kLast = static_cast<uint8_t>(TypeId::kArray);
  if (id > kLast || element >= kLast) {
    return absl::DataLossError(
        absl::StrCat("encoded batch has unknown type ", static_cast<int>(id)));
  }
  type.id = static_cast<TypeId>(id);
  type.element = static_cast<TypeId>(element);
  return type;
}

// The least number of bytes that an encoded row of the type takes.
uint64_t LeastBytes(const SqlType& type) {
  const bool sized = type.IsText() || type.id == TypeId::kArray;
  return sized ? sizeof(uint32_t) : static_cast<uint64_t>(type.ByteWidth());
}

// Refuses values that no column of ours has, and on which other code would fail.
absl::Status CheckValues(const Column& column) {
  for (size_t row = 0; column.type().id == TypeId::kBool && row < column.size(); ++row) {
    if (column.value<uint8_t>(row) > 1) {
      return absl::DataLossError("encoded batch has a boolean that is neither true nor false");
    }
  }
  return absl::OkStatus();
}

// Makes jsonb text canonical, and refuses what is no JSON: code that compares jsonb and takes it
// apart relies on canonical text and does not check for its end.
absl::Status MakeCanonical(Column* column) {
  std::string canonical;
  for (size_t row = 0; column->type().id == TypeId::kJsonb && row < column->size(); ++row) {
    if (column->IsNull(row)) {
      continue;
    }
    const std::string_view text = column->value<TextView>(row).view();
    canonical.clear();
    if (!AppendCanonicalJsonb(text, &canonical).ok()) {
      return absl::DataLossError("encoded batch has a jsonb value that is no JSON");
    }
    if (canonical != text) {
      column->SetTextCopy(row, canonical);
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeText(Reader* reader, Column* column) {
  size_t rows = column->size();
  ASSIGN_OR_RETURN(std::string_view lengths, reader->Bytes(rows * sizeof(uint32_t)));
  auto length_at = [&](size_t row) {
    uint32_t length;
    std::memcpy(&length, lengths.data() + row * sizeof(length), sizeof(length));
    return length;
  };
  size_t total = 0;
  for (size_t row = 0; row < rows; ++row) {
    total += length_at(row);
  }
  ASSIGN_OR_RETURN(std::string_view text, reader->Bytes(total));
  char* copy = column->AllocateText(total);
  std::memcpy(copy, text.data(), total);
  for (size_t row = 0; row < rows; ++row) {
    uint32_t length = length_at(row);
    column->mutable_values<TextView>()[row] = TextView(copy, length);
    copy += length;
  }
  return absl::OkStatus();
}

// Checks every cell: an invalid scale or byte count would lead to reads outside of the digits.
absl::Status DecodeNumerics(Reader* reader, Column* column) {
  const size_t rows = column->size();
  ASSIGN_OR_RETURN(std::string_view cells, reader->Bytes(rows * sizeof(Numeric)));
  auto* values = column->mutable_values<Numeric>();
  std::memcpy(values, cells.data(), cells.size());
  size_t wide_bytes = 0;
  for (size_t row = 0; row < rows; ++row) {
    RETURN_IF_ERROR(values[row].Check());
    wide_bytes += values[row].digit_bytes();
  }
  if (wide_bytes == 0) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::string_view digits, reader->Bytes(wide_bytes));
  char* copy = column->AllocateText(wide_bytes);
  std::memcpy(copy, digits.data(), wide_bytes);
  for (size_t row = 0; row < rows; ++row) {
    if (const size_t bytes = values[row].digit_bytes(); bytes != 0) {
      values[row] = values[row].WithDigitsAt(copy);
      copy += bytes;
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeLists(Reader* reader, Column* column) {
  uint64_t begin = 0;
  for (size_t row = 0; row < column->size(); ++row) {
    ASSIGN_OR_RETURN(uint32_t size, reader->Get<uint32_t>());
    column->mutable_values<ListView>()[row] = ListView{static_cast<uint32_t>(begin), size};
    begin += size;
  }
  ASSIGN_OR_RETURN(uint32_t child_rows, reader->Get<uint32_t>());
  if (begin != child_rows || child_rows > kMaxRows) {
    return absl::DataLossError("encoded batch has array sizes that do not add up");
  }
  ASSIGN_OR_RETURN(const SqlType type, DecodeType(reader));
  // Checked before the elements are read: otherwise arrays in arrays could be nested as deep as
  // there are bytes.
  if (type.id == TypeId::kArray || type.id != column->type().element) {
    return absl::DataLossError("encoded batch has array elements of another type");
  }
  ASSIGN_OR_RETURN(ColumnPtr child, DecodeValues(reader, type, child_rows));
  column->set_child(std::move(child));
  return absl::OkStatus();
}

absl::StatusOr<ColumnPtr> DecodeColumn(Reader* reader, uint32_t rows) {
  ASSIGN_OR_RETURN(const SqlType type, DecodeType(reader));
  return DecodeValues(reader, type, rows);
}

absl::StatusOr<ColumnPtr> DecodeValues(Reader* reader, const SqlType& type, uint32_t rows) {
  ASSIGN_OR_RETURN(uint8_t has_nulls, reader->Get<uint8_t>());
  std::string_view bitmap;
  if (has_nulls != 0) {
    ASSIGN_OR_RETURN(bitmap, reader->Bytes((rows + 7) / 8));
  }
  RETURN_IF_ERROR(reader->Expect(rows * LeastBytes(type)));
  auto column = std::make_shared<Column>(type, rows);
  if (type.IsText()) {
    RETURN_IF_ERROR(DecodeText(reader, column.get()));
  } else if (type.id == TypeId::kNumeric) {
    RETURN_IF_ERROR(DecodeNumerics(reader, column.get()));
  } else if (type.id == TypeId::kArray) {
    RETURN_IF_ERROR(DecodeLists(reader, column.get()));
  } else {
    ASSIGN_OR_RETURN(std::string_view values,
                     reader->Bytes(rows * static_cast<size_t>(type.ByteWidth())));
    std::memcpy(column->mutable_values<char>(), values.data(), values.size());
  }
  for (uint32_t row = 0; has_nulls != 0 && row < rows; ++row) {
    if ((static_cast<uint8_t>(bitmap[row / 8]) & (1u << (row % 8))) == 0) {
      column->SetNull(row);
    }
  }
  RETURN_IF_ERROR(CheckValues(*column));
  RETURN_IF_ERROR(MakeCanonical(column.get()));
  return column;
}

absl::StatusOr<Batch> DecodeBody(Reader* reader) {
  ASSIGN_OR_RETURN(uint8_t flags, reader->Get<uint8_t>());
  ASSIGN_OR_RETURN(uint32_t column_count, reader->Get<uint32_t>());
  ASSIGN_OR_RETURN(uint32_t rows, reader->Get<uint32_t>());
  if (rows > kMaxRows || column_count > kMaxColumns) {
    return absl::DataLossError(
        absl::StrCat("encoded batch claims ", column_count, " columns of ", rows, " rows"));
  }
  std::vector<ColumnPtr> columns;
  for (uint32_t i = 0; i < column_count; ++i) {
    ASSIGN_OR_RETURN(ColumnPtr column, DecodeColumn(reader, rows));
    columns.push_back(std::move(column));
  }
  Batch batch(std::move(columns), rows);
  if ((flags & kHasWeights) != 0) {
    ASSIGN_OR_RETURN(std::string_view raw, reader->Bytes(rows * sizeof(int64_t)));
    auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), rows);
    std::memcpy(weights->mutable_values<char>(), raw.data(), raw.size());
    batch.set_weights(std::move(weights));
  }
  if ((flags & kHasHashes) != 0) {
    ASSIGN_OR_RETURN(std::string_view raw, reader->Bytes(rows * sizeof(uint64_t)));
    auto hashes = std::make_shared<std::vector<uint64_t>>(rows);
    std::copy_n(raw.data(), raw.size(), reinterpret_cast<char*>(hashes->data()));
    batch.set_hashes(std::move(hashes));
  }
  return batch;
}

}  // namespace

void EncodeBatch(const Batch& batch, std::string* out) {
  RowSet rows = batch.rows();
  Put<uint8_t>(kVersion, out);
  Put<uint8_t>(static_cast<uint8_t>((batch.weights() != nullptr ? kHasWeights : 0) |
                                    (batch.hashes() != nullptr ? kHasHashes : 0)),
               out);
  Put<uint32_t>(static_cast<uint32_t>(batch.column_count()), out);
  Put<uint32_t>(static_cast<uint32_t>(rows.count), out);
  for (const ColumnPtr& column : batch.columns()) {
    EncodeColumn(*column, rows, out);
  }
  for (size_t i = 0; batch.weights() != nullptr && i < rows.count; ++i) {
    Put<int64_t>(batch.weights()[rows[i]], out);
  }
  for (size_t i = 0; batch.hashes() != nullptr && i < rows.count; ++i) {
    Put<uint64_t>((*batch.hashes())[rows[i]], out);
  }
}

absl::StatusOr<Batch> DecodeBatch(std::string_view bytes) {
  Reader reader(bytes);
  ASSIGN_OR_RETURN(uint8_t version, reader.Get<uint8_t>());
  if (version != kVersion) {
    return absl::DataLossError(absl::StrCat("encoded batch has version ", static_cast<int>(version),
                                            ", expected ", static_cast<int>(kVersion)));
  }
  ASSIGN_OR_RETURN(Batch batch, DecodeBody(&reader));
  if (!reader.AtEnd()) {
    return absl::DataLossError("encoded batch has bytes behind its end");
  }
  return batch;
}

}  // namespace millrace
