// Options of UndefinedBehaviorSanitizer that hold for every program of ours; the runtime looks for
// this function by name.

extern "C" const char* __ubsan_default_options();

extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1"; }
