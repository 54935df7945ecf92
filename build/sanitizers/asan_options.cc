// Options of AddressSanitizer that hold for every program of ours; the runtime looks for this
// function by name.

extern "C" const char* __asan_default_options();

extern "C" const char* __asan_default_options() {
  return "detect_leaks=1:strict_init_order=1:detect_stack_use_after_return=1";
}
