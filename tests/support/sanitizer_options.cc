// What the sanitizers are told about libraries that are not ours; never called in other builds.
extern "C" {

// HDF5 asks for whatever a damaged file says and copes with being refused.
const char* __asan_default_options();
const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}

// HDF5 keeps its free lists until an exit handler that data/hdf5.cc turns off.
const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() {
  return "leak:libhdf5\n";
}
}
