#include "connectors/kafka/client/properties.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"

namespace millrace::kafka {
namespace {

// For every client: the cluster's address, authentication, timeouts.
const char* const kCommon[] = {
    "bootstrap.servers",
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "enable.ssl.certificate.verification",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "metadata.max.age.ms",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.sigalgs.list",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse",
};

const char* const kConsumer[] = {
    "check.crcs",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
};

const char* const kProducer[] = {
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.timeout.ms",
    "linger.ms",
    "message.send.max.retries",
    "message.timeout.ms",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "request.required.acks",
    "request.timeout.ms",
    "retries",
    "transaction.timeout.ms",
};

struct Refusal {
  const char* prefix;  // of the property's name
  const char* reason;
};

const Refusal kRefused[] = {
    {"plugin.library.paths", "it loads code into the engine"},
    {"ssl.engine", "it loads code into the engine"},
    {"ssl.providers", "it loads code into the engine"},
    {"ssl.ca.location", "it reads the engine's files; use ssl.ca.pem = '${file:PATH}'"},
    {"ssl.certificate.location",
     "it reads the engine's files; use ssl.certificate.pem = '${file:PATH}'"},
    {"ssl.key.location", "it reads the engine's files; use ssl.key.pem = '${file:PATH}'"},
    {"ssl.", "it reads the engine's files or holds objects of a program"},
    {"sasl.kerberos.", "it runs commands as the engine"},
    {"sasl.oauthbearer.", "it makes the engine call other servers"},
    {"https.", "it makes the engine call other servers"},
    {"enable.auto.commit", "offsets are committed by the engine, after the batch"},
    {"enable.auto.offset.store", "offsets are committed by the engine, after the batch"},
    {"auto.commit.interval.ms", "offsets are committed by the engine, after the batch"},
    {"auto.offset.reset",
     "the option start says where a job begins; later a lost offset is an error"},
    {"enable.partition.eof", "the engine needs it as it is"},
    {"enable.idempotence", "the engine's producers always are"},
    {"transactional.id", "the engine names its producers itself"},
    {"group.id", "the option group names the consumer group"},
    {"metadata.broker.list", "the name is bootstrap.servers"},
};

template <size_t n>
bool Contains(const char* const (&list)[n], std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace

bool IsAllowedKafkaProperty(std::string_view name, KafkaRole role) {
  return Contains(kCommon, name) || (role == KafkaRole::kConsumer && Contains(kConsumer, name)) ||
         (role == KafkaRole::kProducer && Contains(kProducer, name));
}

std::vector<std::string> AllowedKafkaProperties(KafkaRole role) {
  std::vector<std::string> names(std::begin(kCommon), std::end(kCommon));
  if (role == KafkaRole::kConsumer) {
    names.insert(names.end(), std::begin(kConsumer), std::end(kConsumer));
  } else if (role == KafkaRole::kProducer) {
    names.insert(names.end(), std::begin(kProducer), std::end(kProducer));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status CheckKafkaOptionNames(const OptionMap& options, KafkaRole role,
                                   const std::vector<std::string>& own) {
  std::vector<std::string> allowed = AllowedKafkaProperties(role);
  for (const auto& [name, value] : options) {
    if (IsAllowedKafkaProperty(name, role)) {
      continue;
    }
    for (const Refusal& refusal : kRefused) {
      if (absl::StartsWith(name, refusal.prefix)) {
        std::vector<std::string> near = NearNames(name, allowed);
        return absl::InvalidArgumentError(absl::StrCat(
            "the property ", name, " is not allowed: ", refusal.reason,
            near.empty() ? "" : absl::StrCat(". Allowed near it: ", absl::StrJoin(near, ", "))));
      }
    }
  }
  allowed.insert(allowed.end(), own.begin(), own.end());
  return CheckOptionNames(options, "kafka", allowed);
}

}  // namespace millrace::kafka
