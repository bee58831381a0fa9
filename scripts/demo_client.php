<?php
// SPDX-License-Identifier: Apache-2.0
//
// The clients of scripts/demo: processes with one connection each, by Debian's php-pda-pheanstalk, which knows nothing of decree.
//
//   demo_client.php produce COUNT FOLDER SERVER,... FILE HALF   COUNT producers; lines from number HALF on wait for FOLDER/gate
//   demo_client.php work    COUNT FOLDER SERVER,...             COUNT workers, until there is FOLDER/stop
//
// Whoever loses its server goes on at the next one. Each writes what it knows to a file of its own in FOLDER, a line for each
// event; times are nanoseconds of the monotonic clock:
//
//   P ID LINE US TIME      put and acknowledged after US microseconds; lines count from 0
//   U LINE                 the server died with the answer: nobody knows, and it is put again
//   R ID MD5 TOKEN         got a job; MD5 is of the body, TOKEN how often it has been reserved, as stats-job tells its holder; 0: the
//                          server died before that
//   D ID TIME TOKEN        deleted and acknowledged
//   L ID                   the server died with the answer to the delete
//   N ID                   told that it does not hold the job any more

require '/usr/share/php/Pheanstalk/autoload.php';

use Pheanstalk\Contract\SocketFactoryInterface;
use Pheanstalk\Contract\SocketInterface;
use Pheanstalk\Exception;
use Pheanstalk\Pheanstalk;
use Pheanstalk\Socket\StreamSocket;

const TUBE = 'lines';
const PRIORITY = 1024;
const TTR_S = 120;

// One connection and no second: pheanstalk would connect again by itself, and repeat a put of which nobody knows.
class OneConnection implements SocketFactoryInterface
{
    private bool $isUsed = false;

    public function __construct(private string $address)
    {
    }

    public function create(): SocketInterface
    {
        if ($this->isUsed) {
            throw new Exception\ConnectionException(0, 'gone'); // of a SocketException it would make another attempt
        }
        $this->isUsed = true;
        [$host, $port] = explode(':', $this->address);
        return new StreamSocket($host, (int) $port, 5);
    }
}

class Client
{
    private ?Pheanstalk $connection = null;

    public function __construct(private array $servers, private int $at)
    {
    }

    // Connected to whichever server is there, its tubes chosen.
    public function get(): Pheanstalk
    {
        while ($this->connection === null) {
            $server = $this->servers[$this->at++ % count($this->servers)];
            try {
                $connection = Pheanstalk::createWithFactory(new OneConnection($server));
                $connection->useTube(TUBE)->watchOnly(TUBE);
                $this->connection = $connection;
            } catch (\Exception $error) {
                usleep(20000);
            }
        }
        return $this->connection;
    }

    public function lose(): void
    {
        $this->connection = null;
    }
}

// What a server tells of a job that is not one's own, or not there: nothing is wrong with the connection.
function isNotFound(\Exception $error): bool
{
    return $error instanceof Exception\JobNotFoundException || str_contains($error->getMessage(), 'NOT_FOUND');
}

function exists(string $path): bool
{
    clearstatcache(true, $path);
    return file_exists($path);
}

function put(Client $client, string $line, int $number, $out): void
{
    for (;;) {
        $connection = $client->get();
        $begin = hrtime(true);
        try {
            $id = $connection->put($line, PRIORITY, 0, TTR_S)->getId();
            $end = hrtime(true);
            fwrite($out, sprintf("P %d %d %d %d\n", $id, $number, ($end - $begin) / 1000, $end));
            return;
        } catch (\Exception $error) {
            fwrite($out, "U $number\n");
            $client->lose();
        }
    }
}

function produce(Client $client, int $who, int $count, string $folder, $out, string $path, int $half): void
{
    $file = fopen($path, 'rb');
    for ($number = 0; ($line = fgets($file)) !== false; $number++) {
        if ($number % $count !== $who) {
            continue;
        }
        while ($number >= $half && !exists("$folder/gate")) {
            usleep(1000);
        }
        put($client, str_ends_with($line, "\n") ? substr($line, 0, -1) : $line, $number, $out);
    }
}

function workOne(Client $client, $out): void
{
    $connection = $client->get();
    $id = null;
    try {
        $job = $connection->reserveWithTimeout(1);
        if ($job === null) {
            return;
        }
        $id = $job->getId();
        $token = 0;
        try {
            $token = (int) $connection->statsJob($job)['reserves'];
        } finally {
            fwrite($out, sprintf("R %d %s %d\n", $id, md5($job->getData()), $token));
        }
        $connection->delete($job);
        fwrite($out, sprintf("D %d %d %d\n", $id, hrtime(true), $token));
    } catch (\Exception $error) {
        if (isNotFound($error)) {
            fwrite($out, $id === null ? '' : "N $id\n");
            return;
        }
        fwrite($out, $id === null ? '' : "L $id\n");
        $client->lose();
    }
}

function main(array $arguments): int
{
    [, $what, $count, $folder, $servers] = $arguments;
    for ($who = 0; $who < $count; $who++) {
        if (pcntl_fork() !== 0) {
            continue;
        }
        $client = new Client(explode(',', $servers), $who);
        $out = fopen("$folder/$what.$who", 'wb');
        if ($what === 'produce') {
            produce($client, $who, (int) $count, $folder, $out, $arguments[5], (int) $arguments[6]);
        }
        while ($what === 'work' && !exists("$folder/stop")) {
            workOne($client, $out);
        }
        return 0;
    }
    for ($failed = 0; pcntl_wait($status) > 0;) {
        $failed += pcntl_wexitstatus($status) !== 0 || pcntl_wifsignaled($status);
    }
    return $failed > 0 ? 1 : 0;
}

error_reporting(E_ERROR); // that a server goes away is no news
exit(main($argv));
