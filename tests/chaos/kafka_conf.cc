#include "tests/chaos/kafka_conf.h"

#include "absl/strings/str_cat.h"

namespace millrace::chaos {

absl::StatusOr<rd_kafka_t*> NewClient(rd_kafka_type_t type,
                                      const std::map<std::string, std::string>& properties,
                                      DeliveryReport on_delivery, void* opaque) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512];
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof(error)) !=
        RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      return absl::InvalidArgumentError(absl::StrCat("property ", name, ": ", error));
    }
  }
  rd_kafka_conf_set_opaque(conf, opaque);
  if (on_delivery != nullptr) {
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  }
  // A broker that is down is the test's own doing; what matters comes as an error of a call.
  rd_kafka_conf_set_log_cb(conf, nullptr);
  rd_kafka_t* client = rd_kafka_new(type, conf, error, sizeof(error));
  if (client == nullptr) {
    rd_kafka_conf_destroy(conf);
    return absl::InvalidArgumentError(absl::StrCat("a Kafka client cannot be set up: ", error));
  }
  return client;
}

}  // namespace millrace::chaos
