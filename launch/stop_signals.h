// USR1, TERM and INT ask a run to save and stop; the step loop polls. The handlers only set a flag;
// a second signal leaves at once, with what was last saved.
#pragma once

namespace seqrank {

// To be called from the main thread before it starts computing: neither it nor the threads it
// starts later are ever interrupted by these signals; a thread that does nothing else takes them.
void install_stop_handlers();

// The first signal that came, or 0. Safe from any thread.
int stop_signal();

// After this TERM ends the process at once again: for a rank that has failed and is about to go.
void restore_default_stop();

}  // namespace seqrank
