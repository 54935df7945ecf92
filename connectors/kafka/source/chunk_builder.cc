#include "connectors/kafka/source/chunk_builder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/types/calendar.h"
#include "connectors/formats/utf8.h"
#include "connectors/kafka/client/headers.h"
#include "connectors/shared/record_hash.h"

namespace millrace::kafka {
namespace {

int64_t MillisecondsOf(const rd_kafka_message_t& message, bool* available) {
  rd_kafka_timestamp_type_t type;
  const int64_t milliseconds = rd_kafka_message_timestamp(&message, &type);
  *available =
      type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && milliseconds != -1;  // Kafka's value for none
  return milliseconds;
}

// Microseconds since 1970 of a record's timestamp; nothing if it has none, or one that no
// timestamptz holds.
std::optional<int64_t> MicrosOf(const rd_kafka_message_t& message) {
  bool available = false;
  int64_t micros = 0;
  if (__builtin_mul_overflow(MillisecondsOf(message, &available), int64_t{1000}, &micros) ||
      !available || !IsValidTimestamp(micros)) {
    return std::nullopt;
  }
  return micros;
}

// OK if the record has no timestamp, or a valid one. Timestamps out of range come from producers
// that count in micro- or nanoseconds, where Kafka means milliseconds.
absl::Status CheckTimestamp(const rd_kafka_message_t& message) {
  bool available = false;
  const int64_t milliseconds = MillisecondsOf(message, &available);
  if (!available || MicrosOf(message).has_value()) {
    return absl::OkStatus();
  }
  return absl::OutOfRangeError(
      absl::StrCat("the record's timestamp, ", milliseconds,
                   ", is out of range: Kafka's timestamps are milliseconds since 1970; leave "
                   "_timestamp out to read the record without it"));
}

std::string_view View(const void* bytes, size_t size) {
  return {static_cast<const char*>(bytes), size};
}

RawRecord RawRecordOf(const rd_kafka_message_t& message, std::string_view topic,
                      int32_t partition) {
  RawRecord record{.topic = topic, .partition = partition};
  // A timestamp out of range must not lose a record that failed for another reason.
  record.timestamp_us = MicrosOf(message);
  if (message.key != nullptr) {
    record.key = View(message.key, message.key_len);
  }
  if (message.payload != nullptr) {
    record.value = View(message.payload, message.len);
  }
  return record;
}

// The headers of a message as the jsonb of _headers.
absl::Status HeadersAsJsonb(const rd_kafka_message_t* message, std::string* out) {
  out->assign(1, '[');
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      out->append(i == 0 ? "" : ", ");
      RETURN_IF_ERROR(AppendKafkaHeader(
          name, value == nullptr ? std::nullopt : std::make_optional(View(value, size)), out));
    }
  }
  out->push_back(']');
  return absl::OkStatus();
}

}  // namespace

std::vector<std::pair<std::string, SqlType>> KafkaMetadataColumns() {
  return {{"_topic", MakeType(TypeId::kText)},   {"_partition", MakeType(TypeId::kInt32)},
          {"_offset", MakeType(TypeId::kInt64)}, {"_timestamp", MakeType(TypeId::kTimestampTz)},
          {"_key", MakeType(TypeId::kText)},     {"_headers", MakeType(TypeId::kJsonb)}};
}

KafkaChunkBuilder::KafkaChunkBuilder(const proto::Source& source, KafkaPartitionId id,
                                     std::unique_ptr<FormatDecoder> decoder)
    : source_(source),
      id_(std::move(id)),
      decoder_(std::move(decoder)),
      topic_(std::make_shared<const std::string>(id_.topic)) {}

absl::StatusOr<SourceChunk> KafkaChunkBuilder::Build(std::shared_ptr<MessageBlock> block,
                                                     int64_t next, uint64_t hash_seed) {
  SourceChunk chunk;
  chunk.next = Offset(next);
  ScanMessages(*block, hash_seed, &chunk);
  RowErrors errors;
  PayloadSpan payloads{
      .values = values_.data(), .keys = keys_.data(), .count = values_.size(), .owner = block};
  ASSIGN_OR_RETURN(std::vector<ColumnPtr> decoded, decoder_->Decode(payloads, &errors));
  std::vector<ColumnPtr> columns;
  columns.reserve(static_cast<size_t>(source_.columns_size()));
  size_t taken = 0;
  for (const proto::SourceColumn& column : source_.columns()) {
    columns.push_back(column.declared() >= 0 ? decoded[taken++]
                                             : MetadataColumn(column.name(), block, &errors));
  }
  chunk.batch = Batch(std::move(columns), chunk.offsets.size());
  chunk.raw = [topic = topic_, partition = id_.partition, block](uint32_t row) {
    return RawRecordOf(*block->messages[row], *topic, partition);
  };
  for (const RowError& error : errors.errors()) {
    chunk.errors.push_back(
        {error.row,
         Annotate(error.status, absl::StrCat("topic ", id_.topic, " partition ", id_.partition,
                                             " offset ", chunk.offsets[error.row]))});
  }
  return chunk;
}

void KafkaChunkBuilder::ScanMessages(const MessageBlock& block, uint64_t hash_seed,
                                     SourceChunk* chunk) {
  const std::vector<rd_kafka_message_t*>& messages = block.messages;
  size_t count = messages.size();
  values_.resize(count);
  keys_.resize(count);
  chunk->offsets.resize(count);
  RecordHash hash(hash_seed);
  int64_t bytes = 0;
  // Another thread has written the messages, which lie scattered: prefetch them.
  constexpr size_t kAhead = 8;
  for (size_t i = 0; i < count; ++i) {
    if (i + 2 * kAhead < count) {
      __builtin_prefetch(messages[i + 2 * kAhead]);
      __builtin_prefetch(messages[i + kAhead]->payload);
    }
    const rd_kafka_message_t& message = *messages[i];
    values_[i] = View(message.payload, message.payload == nullptr ? 0 : message.len);
    keys_[i] = View(message.key, message.key == nullptr ? 0 : message.key_len);
    chunk->offsets[i] = message.offset;
    bytes += static_cast<int64_t>(message.len + message.key_len);
    chunk->max_timestamp_us =
        std::max(chunk->max_timestamp_us, MicrosOf(message).value_or(INT64_MIN));
    hash.Add(message.offset, keys_[i], values_[i]);
  }
  chunk->bytes = bytes;
  chunk->input_hash = hash.value();
}

ColumnPtr KafkaChunkBuilder::MetadataColumn(const std::string& name,
                                            const std::shared_ptr<MessageBlock>& block,
                                            RowErrors* errors) {
  const std::vector<rd_kafka_message_t*>& messages = block->messages;
  if (name == "_key") {
    return KeyColumn(block, errors);
  }
  std::vector<std::pair<std::string, SqlType>> known = KafkaMetadataColumns();
  auto found =
      std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.first == name; });
  MILLRACE_CHECK(found != known.end()) << name;
  auto column = std::make_shared<Column>(found->second, messages.size());
  if (name == "_topic") {
    column->AddOwner(topic_);
    std::fill_n(column->mutable_values<TextView>(), messages.size(), TextView(*topic_));
  } else if (name == "_partition") {
    std::fill_n(column->mutable_values<int32_t>(), messages.size(), id_.partition);
  }
  std::string headers;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (name == "_offset") {
      column->mutable_values<int64_t>()[i] = messages[i]->offset;
    } else if (name == "_timestamp") {
      const std::optional<int64_t> micros = MicrosOf(*messages[i]);
      column->mutable_values<int64_t>()[i] = micros.value_or(0);
      if (!micros.has_value()) {
        column->SetNull(i);
        if (absl::Status status = CheckTimestamp(*messages[i]); !status.ok()) {
          errors->Add(static_cast<uint32_t>(i), std::move(status));
        }
      }
    } else if (name == "_headers") {
      if (absl::Status status = HeadersAsJsonb(messages[i], &headers); status.ok()) {
        column->SetTextCopy(i, headers);
      } else {
        column->SetNull(i);
        errors->Add(static_cast<uint32_t>(i), Annotate(status, "_headers"));
      }
    }
  }
  return column;
}

ColumnPtr KafkaChunkBuilder::KeyColumn(const std::shared_ptr<MessageBlock>& block,
                                       RowErrors* errors) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), keys_.size());
  column->AddOwner(block);
  auto* views = column->mutable_values<TextView>();
  for (size_t i = 0; i < keys_.size(); ++i) {
    views[i] = TextView();
    if (keys_[i].data() == nullptr) {
      column->SetNull(i);
    } else if (IsText(keys_[i])) {
      views[i] = TextView(keys_[i]);
    } else {
      column->SetNull(i);
      errors->Add(static_cast<uint32_t>(i),
                  absl::InvalidArgumentError(absl::StrCat(
                      NotText("the key (_key)", keys_[i]).message(),
                      "; leave _key out or use format raw with a PRIMARY KEY column of type "
                      "bytea")));
    }
  }
  return column;
}

}  // namespace millrace::kafka
