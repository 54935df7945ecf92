// Clients of the ledger. It speaks to librdkafka itself: what it checks must not go through the
// code that is checked.
#ifndef MILLRACE_TESTS_CHAOS_KAFKA_CONF_H_
#define MILLRACE_TESTS_CHAOS_KAFKA_CONF_H_

#include <librdkafka/rdkafka.h>

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace millrace::chaos {

using DeliveryReport = void (*)(rd_kafka_t*, const rd_kafka_message_t*, void*);

// The caller destroys the client. `on_delivery` (may be null) gets `opaque`.
absl::StatusOr<rd_kafka_t*> NewClient(rd_kafka_type_t type,
                                      const std::map<std::string, std::string>& properties,
                                      DeliveryReport on_delivery = nullptr, void* opaque = nullptr);

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_KAFKA_CONF_H_
