// USR1, TERM and INT ask a run to save and stop; the step loop polls. The handlers only set a flag.
// A second signal, over a second after the first, leaves at once with what was last saved; so does
// TERM when the ranks have stopped moving, since no save can be agreed on then. (Launchers and
// batch systems send one wish through several processes: what comes within a second is one.)
#pragma once

#include <memory>

namespace seqrank {

struct CallClock;
class LocalPeers;

// To be called from the main thread before it starts others and computes: neither it nor the
// threads it starts later are ever interrupted by these signals; a thread that does nothing else
// takes them.
void install_stop_handlers();

// What is looked at after TERM. Calls, by which it is seen whether the ranks move: none may take
// over a second then, nor over twice the longest before it, ten seconds at the most. Peers: where
// one has ended, this rank leaves as well, with the code for peers, and the first of those left
// says so in one line, unless hush_peers() of another did.
void watch_ranks(std::shared_ptr<const CallClock> calls, std::shared_ptr<const LocalPeers> peers);
// This rank has said why it fails: the others of its host need not.
void hush_peers();

// The first signal that came, or 0. Safe from any thread.
int stop_signal();

// After this TERM ends the process at once again: for a rank that has failed and is about to go.
void restore_default_stop();

}  // namespace seqrank
