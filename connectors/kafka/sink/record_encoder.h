// Encodes rows of a sink as Kafka records: key and value by the table's format; key, headers and
// partition by metadata columns. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_RECORD_ENCODER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_RECORD_ENCODER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/row_errors.h"
#include "connectors/format.h"
#include "connectors/kafka/client/headers.h"

namespace millrace::kafka {

// The columns that an INSERT may name besides the table's own: _key, _headers, _partition.
std::vector<std::pair<std::string, SqlType>> KafkaSinkMetadataColumns();

// A sink's columns, with the payload's columns apart from the metadata. Indexes are into
// Sink.columns; −1 = not written.
struct KafkaSinkColumns {
  proto::Sink payload;  // the sink as its format sees it
  std::vector<uint32_t> payload_columns;
  int key = -1;
  int headers = -1;
  int partition = -1;
};
absl::StatusOr<KafkaSinkColumns> SplitKafkaSinkColumns(const proto::Sink& sink);

// A record to produce. Views live as long as the owners in its batch.
struct KafkaRecord {
  std::string_view key;    // data() null: none
  std::string_view value;  // data() null: tombstone
  int32_t partition = -1;  // −1: by the key
  std::unique_ptr<KafkaHeaders> headers;

  size_t size() const { return key.size() + value.size(); }
};

class KafkaRecordEncoder {
 public:
  static absl::StatusOr<std::unique_ptr<KafkaRecordEncoder>> Create(const proto::Sink& sink,
                                                                    const Format* format);

  struct Encoded {
    std::vector<KafkaRecord> records;
    std::vector<TextOwner> owners;
  };
  // Makes a record for each selected row, in order. Rows with invalid headers or partitions go to
  // `refused`; their records must not be used.
  absl::StatusOr<Encoded> Encode(const Batch& rows, RowErrors* refused);

 private:
  KafkaRecordEncoder(KafkaSinkColumns columns, std::unique_ptr<FormatEncoder> encoder)
      : columns_(std::move(columns)), encoder_(std::move(encoder)) {}

  void AddMetadata(const Batch& rows, Encoded* encoded, RowErrors* refused);

  KafkaSinkColumns columns_;
  std::unique_ptr<FormatEncoder> encoder_;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_RECORD_ENCODER_H_
