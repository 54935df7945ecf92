// Formats turn record payloads into columns and back, for connectors that carry bytes (kafka,
// file). Decoding is columnar: many payloads in, one batch out, with text as views into the
// payloads where the format allows that.
#ifndef MILLRACE_CONNECTORS_FORMAT_H_
#define MILLRACE_CONNECTORS_FORMAT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/columnar/batch.h"
#include "common/expr/row_errors.h"
#include "proto/plan.pb.h"

namespace millrace {

// Record i's value and key; a null `data()` means the record has none (a tombstone).
struct PayloadSpan {
  const std::string_view* values = nullptr;
  const std::string_view* keys = nullptr;
  size_t count = 0;
  TextOwner owner;  // keeps the payloads alive; every text column made from them must hold it
};

// One per task; used by one thread at a time.
class FormatDecoder {
 public:
  virtual ~FormatDecoder() = default;
  // Returns a column of payloads.count rows for each entry of Source.columns with declared ≥ 0, in
  // that order. A record that cannot be decoded adds a row error with the reason; the caller adds
  // topic, partition and offset.
  virtual absl::StatusOr<std::vector<ColumnPtr>> Decode(const PayloadSpan& payloads,
                                                        RowErrors* errors) = 0;
};

// Encoded records, views into `bytes`. A null value view is a tombstone.
struct EncodedRecords {
  struct Record {
    std::string_view key;    // data() == nullptr: no key
    std::string_view value;  // data() == nullptr: no value
  };
  std::vector<Record> records;
  std::vector<TextOwner> owners;
};

// One per shard; used by one thread at a time.
class FormatEncoder {
 public:
  virtual ~FormatEncoder() = default;
  // One record per selected row of `batch`, in order. Rows of negative weight are encoded as
  // deletes in upsert mode.
  virtual absl::StatusOr<EncodedRecords> Encode(const Batch& batch) = 0;
};

// What a table does with its format. Some options mean something in one role only, and are refused
// in the others.
struct FormatRole {
  bool sink = false;      // records are written
  bool in_files = false;  // records stand in files: they have no keys
};

// Where line ends may be in an encoded record.
enum class LineEnds {
  kNowhere,  // they are escaped, so a line end is the end of a record
  kQuoted,   // between double quotes
  kAnywhere,
};

// What an empty line of a file is.
enum class EmptyLine {
  kRecord,
  kRecordOfOneColumn,  // a record if the table has one column; otherwise it is skipped
  kSkipped,
};

// What a connector must know of a format to keep its records in files, one a line, so that it need
// not ask which format it is.
struct FormatTraits {
  std::string_view file_extension;  // without the dot
  LineEnds line_ends = LineEnds::kAnywhere;
  EmptyLine empty_line = EmptyLine::kRecord;
};

// Immutable, thread-safe.
class Format {
 public:
  virtual ~Format() = default;
  virtual const std::string& name() const = 0;
  virtual FormatTraits traits() const = 0;
  // The names of the options that mean something in the role, for the connectors' lists of allowed
  // ones.
  virtual std::vector<std::string> Options(FormatRole role) const = 0;
  virtual absl::Status ValidateSource(const proto::Source& source) const = 0;
  virtual absl::Status ValidateSink(const proto::Sink& sink) const = 0;
  virtual absl::StatusOr<std::unique_ptr<FormatDecoder>> CreateDecoder(
      const proto::Source& source) const = 0;
  virtual absl::StatusOr<std::unique_ptr<FormatEncoder>> CreateEncoder(
      const proto::Sink& sink) const = 0;
  // The line, with its end, that stands before the records in each file of a sink with
  // header = true; empty if the format knows no such line.
  virtual absl::StatusOr<std::string> FileHeader(const proto::Sink& sink) const {
    (void)sink;
    return "";
  }
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMAT_H_
