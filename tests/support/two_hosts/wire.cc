// A wire between two network namespaces: what one sends arrives at the other after a delay, no
// faster than a rate, and not always. "cut" on standard input makes it silent for good; the end of
// standard input ends it. It sets no addresses and starts nothing: hosts.py does.
// One thread that sleeps when nothing is due. Packets stay as large as TCP hands them down (up to
// 64 KiB, unsegmented, without check sums), so that it costs little beside what is tested on it.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr const char* kDevice = "wire";
constexpr ssize_t kHeader = 10;  // virtio_net_hdr, in front of every packet; passed on unread
constexpr ssize_t kLargest = kHeader + 65536;
constexpr ssize_t kMostQueued = 64 << 20;  // bytes; beyond TCP's largest windows
constexpr int kBatch = 64;                 // packets read before others get their turn
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "wire: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

struct Limits {
  std::int64_t delay_ns = 0;
  double ns_per_byte = 0;
  double loss = 0;  // share of packets; of large ones all segments are lost at once
};

// The device of the namespace in file `path`. This thread stays in that namespace.
int open_device(const std::string& path) {
  const int space = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || ::setns(space, CLONE_NEWNET) != 0) fail(path);
  ::close(space);
  const int device = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) fail("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  std::strncpy(request.ifr_name, kDevice, IFNAMSIZ - 1);
  if (::ioctl(device, TUNSETIFF, &request) != 0) fail("TUNSETIFF");
  if (::ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) fail("TUNSETOFFLOAD");
  return device;
}

// One of the two ways.
class Way {
 public:
  Way(int from, int to, const Limits& limits, unsigned seed)
      : from_(from), to_(to), limits_(limits), random_(seed) {}

  // Reads what waits on the sending side, up to a batch.
  void take() {
    const std::int64_t now = now_ns();
    for (int i = 0; i < kBatch; ++i) {
      if (spare_.empty()) spare_.push_back(std::make_unique_for_overwrite<char[]>(kLargest));
      const ssize_t bytes = ::read(from_, spare_.back().get(), kLargest);
      if (bytes < 0) return;
      if (cut_ || queued_ > kMostQueued || std::uniform_real_distribution()(random_) < limits_.loss)
        continue;
      const double on_line = static_cast<double>(bytes - kHeader) * limits_.ns_per_byte;
      line_free_ns_ = std::max(line_free_ns_, now) + static_cast<std::int64_t>(on_line);
      queued_ += bytes;
      queue_.push_back({line_free_ns_ + limits_.delay_ns, bytes, std::move(spare_.back())});
      spare_.pop_back();
    }
  }

  // Hands over what is due.
  void deliver() {
    while (!queue_.empty() && queue_.front().due_ns <= now_ns()) {
      Packet& packet = queue_.front();
      // A receiver that is not up yet refuses; to the sender that is a lost packet.
      if (::write(to_, packet.bytes.get(), packet.size) > 0) delivered_ += packet.size - kHeader;
      queued_ -= packet.size;
      spare_.push_back(std::move(packet.bytes));
      queue_.pop_front();
    }
  }

  void cut() {
    cut_ = true;
    queue_.clear();
    queued_ = 0;
  }

  std::int64_t next_due_ns() const { return queue_.empty() ? kNever : queue_.front().due_ns; }
  std::uint64_t delivered() const { return delivered_; }

 private:
  struct Packet {
    std::int64_t due_ns;
    ssize_t size;
    std::unique_ptr<char[]> bytes;
  };

  int from_, to_;
  Limits limits_;
  std::mt19937 random_;
  std::deque<Packet> queue_;
  std::vector<std::unique_ptr<char[]>> spare_;  // each of kLargest bytes
  ssize_t queued_ = 0;                          // bytes in queue_
  std::int64_t line_free_ns_ = 0;               // when the last packet's last bit leaves the sender
  std::uint64_t delivered_ = 0;
  bool cut_ = false;
};

// False at the end of standard input.
bool obey(Way& there, Way& back) {
  std::array<char, 64> text{};
  const ssize_t bytes = ::read(STDIN_FILENO, text.data(), text.size() - 1);
  if (bytes <= 0) return false;
  if (std::string(text.data()).find("cut") != std::string::npos) {
    there.cut();
    back.cut();
    std::puts("cut");
    std::fflush(stdout);
  }
  return true;
}

void carry(int a, int b, const Limits& limits) {
  Way there(a, b, limits, 1), back(b, a, limits, 2);
  std::array<pollfd, 3> wait = {pollfd{a, POLLIN, 0}, pollfd{b, POLLIN, 0},
                                pollfd{STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    const std::int64_t due = std::min(there.next_due_ns(), back.next_due_ns());
    const std::int64_t left = std::max<std::int64_t>(0, due == kNever ? 0 : due - now_ns());
    const timespec pause{left / 1'000'000'000, left % 1'000'000'000};
    if (::ppoll(wait.data(), wait.size(), due == kNever ? nullptr : &pause, nullptr) < 0 &&
        errno != EINTR)
      fail("ppoll");
    if (wait[0].revents & POLLIN) there.take();
    if (wait[1].revents & POLLIN) back.take();
    there.deliver();
    back.deliver();
    if (wait[2].revents != 0 && !obey(there, back)) break;
  }
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  std::printf("{\"bytes_there\": %llu, \"bytes_back\": %llu, \"cpu_seconds\": %.3f}\n",
              static_cast<unsigned long long>(there.delivered()),
              static_cast<unsigned long long>(back.delivered()),
              seconds(used.ru_utime) + seconds(used.ru_stime));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: wire NETNS_FILE NETNS_FILE DELAY_US MBIT_PER_S LOSS_SHARE\n");
    return 2;
  }
  Limits limits;
  limits.delay_ns = std::atoll(argv[3]) * 1000;
  limits.ns_per_byte = 8000.0 / std::atof(argv[4]);
  limits.loss = std::atof(argv[5]);
  const int a = open_device(argv[1]), b = open_device(argv[2]);
  // The usual slack of 50 us would be added to every delay. And before whatever keeps the cores
  // busy, where that is allowed.
  ::prctl(PR_SET_TIMERSLACK, 1000UL);
  const sched_param first{.sched_priority = 50};
  ::sched_setscheduler(0, SCHED_FIFO, &first);
  std::puts("up");
  std::fflush(stdout);
  carry(a, b, limits);
}
