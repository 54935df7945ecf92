// Options and suppressions of ThreadSanitizer that hold for every program of ours; the runtime
// looks for these functions by name. Debian's libraries are built without it, so it does not see
// how they synchronise. absl::Mutex, on which most of that rests, is made visible
// (tsan_absl_mutex.cc); what is left is listed here, each with its reason.

extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_suppressions();

extern "C" const char* __tsan_default_options() { return "second_deadlock_stack=1:history_size=4"; }

extern "C" const char* __tsan_default_suppressions() {
  // gRPC hands work between its threads through atomics of its own: accesses it makes (through
  // intercepted memcpy, free and the like) look unordered. What its threads read from sockets and
  // parse is not recorded at all, else every byte of a message that our code copies out of gRPC's
  // buffers is a suppressed report of its own, at a megabyte a minute. The errors that it passes
  // around and prints are absl::Status with Cord and Time payloads; the pool behind absl's random
  // numbers is guarded by a spin lock that TSan does not see. Over the in-process channel one of
  // our threads parses what another has serialised; the slices change hands inside of gRPC.
  // A status that threads have copied is counted half in our code, by inline functions, and half in
  // Abseil's: whoever frees it seems to race with those that counted.
  // absl::Mutex looks for deadlocks in a graph of its own, behind another spin lock. spdlog's
  // registry is made once, by whoever logs first, behind a guard inside of the library. RocksDB
  // counts the references to its files, blocks and versions in atomics of its own.
  // librdkafka is built with TSan and has a race of its own: a partition that is unassigned before
  // its topic's metadata is known leaves the topic's list of desired partitions without the topic's
  // lock, while rd_kafka_position of another may search that list.
  return "race:libgrpc.so\n"
         "race:libgrpc++.so\n"
         "race:libgpr.so\n"
         "called_from_lib:libgrpc.so\n"
         "called_from_lib:libupb.so\n"
         "race:librocksdb.so\n"
         "called_from_lib:librocksdb.so\n"
         "race:grpc::SerializationTraits\n"
         "race:rd_kafka_toppar_desired_unlink\n"
         "race:spdlog::details::registry::registry\n"
         "race:libabsl_status.so\n"
         "race:absl::*::Status::Unref\n"
         "race:libabsl_cord.so\n"
         "race:libabsl_graphcycles_internal.so\n"
         "race:libabsl_time.so\n"
         "race:libabsl_random_internal_pool_urbg.so\n";
}
