// SPDX-License-Identifier: Apache-2.0
//
// decree from C++17: what owns what, a class as the state machine, and a program that counts words on every node.
// docs/embedding.md explains it.
//   c++ -std=c++17 tally.cc $(pkg-config --cflags --libs decree) -o tally
//   ./tally NODE.ini              a node; each line is a word, answered with how often it has been counted by now.
//                                 "? WORD" asks without counting
//   ./tally --client CLUSTER.ini  words from a host without a node
#include <decree/client.h>
#include <decree/node.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

// ---- decree in C++: to copy from. Nothing below throws into the library, which is C: its callbacks are noexcept.

namespace decree
{

struct closer {
	void operator()(decree_node *node) const noexcept { decree_close(node); }
	void operator()(decree_proposer *proposer) const noexcept { decree_proposer_close(proposer); }
	void operator()(decree_client *client) const noexcept { decree_client_close(client); }
};
using node = std::unique_ptr<decree_node, closer>;
using proposer = std::unique_ptr<decree_proposer, closer>; // declare it after its node: it goes first
using client = std::unique_ptr<decree_client, closer>;

struct answer {
	std::uint16_t status;
	std::uint64_t result;
};

// A machine is any class with these members; each lambda captures nothing, and so is a function of C.
template <class Machine>
decree_machine_ops
machine_ops()
{
	decree_machine_ops ops{};

	ops.struct_bytes = sizeof(ops);
	ops.apply = [](void *m, const decree_command *commands, std::uint32_t count, std::uint64_t cluster_ns,
			    decree_sink *sink) noexcept {
		for (const auto *c = commands; c != commands + count; c++) {
			const std::string_view body(static_cast<const char *>(c->body), c->bytes);
			const answer a = static_cast<Machine *>(m)->apply(body, cluster_ns);

			decree_sink_answer(sink, c->session, c->seq, a.status, a.result);
		}
	};
	ops.digest = [](void *m) noexcept { return static_cast<Machine *>(m)->digest(); };
	ops.read = [](void *m, const void *query, std::uint32_t bytes, void *to, std::uint32_t capacity) noexcept {
		const std::string_view asked(static_cast<const char *>(query), bytes);
		const std::string text = static_cast<const Machine *>(m)->read(asked);

		if (text.size() > capacity)
			return std::int32_t{ -EMSGSIZE };
		std::memcpy(to, text.data(), text.size());
		return static_cast<std::int32_t>(text.size());
	};
	ops.snapshot_begin = [](void *m) noexcept { return static_cast<Machine *>(m)->snapshot_begin(); };
	ops.snapshot_next = [](void *m, decree_chunk *chunk) noexcept {
		return static_cast<Machine *>(m)->snapshot_next(*chunk);
	};
	ops.snapshot_end = [](void *m) noexcept { static_cast<Machine *>(m)->snapshot_end(); };
	ops.restore_begin = [](void *m) noexcept { return static_cast<Machine *>(m)->restore_begin(); };
	ops.restore_next = [](void *m, const decree_chunk *chunk) noexcept {
		return static_cast<Machine *>(m)->restore_next(*chunk);
	};
	ops.restore_end = [](void *m) noexcept { return static_cast<Machine *>(m)->restore_end(); };
	return ops;
}

// A node that runs. The machine stays yours, and has to outlive it.
template <class Machine>
node
start(const char *config_path, Machine &machine)
{
	const decree_machine_ops ops = machine_ops<Machine>();
	void *machines[] = { &machine };
	decree_options options{};
	char error[DECREE_ERROR_BYTES] = "the node could not be started";
	decree_node *opened = nullptr;

	options.struct_bytes = sizeof(options);
	options.config_path = config_path;
	options.machine_ops = &ops;
	options.machines = machines;
	options.group_count = 1;
	if (decree_open(&options, &opened, error) != 0)
		throw std::runtime_error(error);
	node owned(opened);
	if (decree_start(owned.get()) != 0)
		throw std::runtime_error(error);
	return owned;
}

inline proposer
open_proposer(const node &of)
{
	char error[DECREE_ERROR_BYTES];
	decree_proposer *opened = nullptr;

	if (decree_proposer_open(of.get(), 0, &opened, error) != 0)
		throw std::runtime_error(error);
	return proposer(opened);
}

inline client
open_client(const char *config_path)
{
	char error[DECREE_ERROR_BYTES];
	decree_client_options options{};
	decree_client *opened = nullptr;

	options.struct_bytes = sizeof(options);
	options.config_path = config_path;
	if (decree_client_open(&options, &opened, error) != 0)
		throw std::runtime_error(error);
	return client(opened);
}

} // namespace decree

// ---- the state machine

class tally
{
public:
	decree::answer
	apply(std::string_view word, std::uint64_t)
	{
		auto at = counts_.find(word);

		if (word.empty() || word.size() > word_bytes_max || word.find('\n') != word.npos)
			return { EINVAL, 0 };
		if (at == counts_.end() && counts_.size() == word_count_max)
			return { ENOSPC, 0 };
		if (at == counts_.end())
			at = counts_.emplace(word, 0).first;
		else
			digest_.lo -= hash(*at); // the digest is the sum over all words
		at->second++;
		digest_.lo += hash(*at);
		return { 0, at->second };
	}

	decree_digest digest() const { return digest_; }

	std::string
	read(std::string_view word) const
	{
		const auto at = counts_.find(word);

		return at == counts_.end() ? "0" : std::to_string(at->second);
	}

	// The state is so small that a copy in one chunk will do; a map is in the same order everywhere.
	int
	snapshot_begin()
	{
		frozen_.clear();
		for (const auto &[word, count] : counts_)
			frozen_ += word + '\n' + std::to_string(count) + '\n';
		is_handed_out_ = false;
		return 0;
	}

	int
	snapshot_next(decree_chunk &chunk)
	{
		chunk = decree_chunk{ 0, frozen_.data(), frozen_.size() };
		return is_handed_out_ ? 0 : (is_handed_out_ = true, 1);
	}

	void snapshot_end() {}

	int
	restore_begin()
	{
		*this = tally();
		return 0;
	}

	int
	restore_next(const decree_chunk &chunk)
	{
		std::string_view text(static_cast<const char *>(chunk.bytes), chunk.count);

		while (!text.empty()) {
			const auto word_end = text.find('\n'), end = text.find('\n', word_end + 1);

			if (word_end == text.npos || end == text.npos)
				return -EBADMSG;
			const auto added = counts_.emplace(text.substr(0, word_end),
				std::strtoull(text.data() + word_end + 1, nullptr, 10));
			digest_.lo += hash(*added.first);
			text.remove_prefix(end + 1);
		}
		return 0;
	}

	int restore_end() { return 0; }

private:
	// 1,000 words with their counts fit a chunk, whatever they are.
	static constexpr std::size_t word_count_max = 1000, word_bytes_max = 32;
	static_assert(word_count_max * (word_bytes_max + 22) <= DECREE_CHUNK_BYTES_MAX, "one chunk");

	using counts = std::map<std::string, std::uint64_t, std::less<>>;

	// Not std::hash, which may be another one on the next node.
	static std::uint64_t
	hash(const counts::value_type &entry)
	{
		std::uint64_t h = 0xcbf29ce484222325 + entry.second;

		for (const char c : entry.first)
			h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
		h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
		return h ^ h >> 32;
	}

	counts counts_;
	decree_digest digest_{};
	std::string frozen_;
	bool is_handed_out_ = false;
};

// ---- the program

static std::string
told(const decree_completion &done)
{
	if (done.outcome != DECREE_APPLIED)
		return "unknown";
	if (done.status != 0)
		return std::strerror(done.status);
	if (done.answer != nullptr)
		return std::string(static_cast<const char *>(done.answer), done.answer_bytes);
	return std::to_string(done.result);
}

static int
run_node(const char *config_path)
{
	tally words;
	const decree::node node = decree::start(config_path, words);
	const decree::proposer proposer = decree::open_proposer(node);
	const auto wait_a_little = [&node] {
		char error[DECREE_ERROR_BYTES];

		if (decree_health(node.get(), error) != 0)
			throw std::runtime_error(error);
		std::this_thread::sleep_for(std::chrono::microseconds(50));
	};
	const auto ask = [&](const std::string &line) {
		const std::uint32_t bytes = static_cast<std::uint32_t>(line.size());

		return line.rfind("? ", 0) == 0 ? decree_read(proposer.get(), line.data() + 2, bytes - 2,
							  DECREE_LINEARIZABLE, nullptr)
						: decree_propose(proposer.get(), line.data(), bytes, nullptr);
	};

	for (std::string line; std::getline(std::cin, line);) {
		decree_completion done;
		int rc;

		while ((rc = ask(line)) == -EAGAIN)
			wait_a_little(); // its session is being opened
		while (rc == 0 && decree_poll(proposer.get(), &done, 1) == 0)
			wait_a_little();
		std::cout << (rc == 0 ? told(done) : std::strerror(-rc)) << std::endl;
	}
	return 0;
}

static int
run_client(const char *config_path)
{
	const decree::client client = decree::open_client(config_path);
	constexpr std::uint64_t second_ns = 1'000'000'000;

	for (std::string line; std::getline(std::cin, line);) {
		const std::uint32_t bytes = static_cast<std::uint32_t>(line.size());
		decree_completion done;
		int rc;

		while ((rc = decree_client_submit(client.get(), line.data(), bytes, nullptr)) == -EAGAIN)
			decree_client_poll(client.get(), &done, 1, second_ns);
		while (rc == 0 && decree_client_poll(client.get(), &done, 1, second_ns) == 0)
			; // no answer for a second: it keeps trying
		std::cout << (rc == 0 ? told(done) : std::strerror(-rc)) << std::endl;
	}
	return 0;
}

int
main(int argc, char **argv)
try {
	if (argc == 2)
		return run_node(argv[1]);
	if (argc == 3 && std::string_view(argv[1]) == "--client")
		return run_client(argv[2]);
	std::cerr << "usage: tally NODE.ini, or tally --client CLUSTER.ini\n";
	return 2;
} catch (const std::exception &failure) {
	std::cerr << failure.what() << '\n';
	return 1;
}
