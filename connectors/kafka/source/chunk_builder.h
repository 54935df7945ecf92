// Turns fetched messages into a chunk of rows. Per partition; thread-compatible.
#ifndef MILLRACE_CONNECTORS_KAFKA_SOURCE_CHUNK_BUILDER_H_
#define MILLRACE_CONNECTORS_KAFKA_SOURCE_CHUNK_BUILDER_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "connectors/format.h"
#include "connectors/kafka/source/fetched_partition.h"
#include "connectors/source.h"

namespace millrace::kafka {

// Hidden columns of Kafka tables: _topic, _partition, _offset, _timestamp, _key, _headers.
std::vector<std::pair<std::string, SqlType>> KafkaMetadataColumns();

class KafkaChunkBuilder {
 public:
  KafkaChunkBuilder(const proto::Source& source, KafkaPartitionId id,
                    std::unique_ptr<FormatDecoder> decoder);

  // A chunk of all messages of `block`, which its text columns keep alive.
  absl::StatusOr<SourceChunk> Build(std::shared_ptr<MessageBlock> block, int64_t next,
                                    uint64_t hash_seed);

 private:
  void ScanMessages(const MessageBlock& block, uint64_t hash_seed, SourceChunk* chunk);
  ColumnPtr MetadataColumn(const std::string& name, const std::shared_ptr<MessageBlock>& block,
                           RowErrors* errors);
  ColumnPtr KeyColumn(const std::shared_ptr<MessageBlock>& block, RowErrors* errors);

  proto::Source source_;
  KafkaPartitionId id_;
  std::unique_ptr<FormatDecoder> decoder_;
  std::shared_ptr<const std::string> topic_;  // the text that _topic points to
  std::vector<std::string_view> values_;
  std::vector<std::string_view> keys_;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SOURCE_CHUNK_BUILDER_H_
