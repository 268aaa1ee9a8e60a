"""The request pipeline: network threads, request queue, request handlers.

Stands for ``SocketServer``, ``RequestChannel`` and ``KafkaRequestHandlerPool``.  A network
thread (processor) reads a request, a handler works on it, the connection's network thread
writes the response; the connection takes its next request from the socket only when the
response has left.  A thread that meets no work must be woken (``wake_up_s``).

Approximations: a response takes its place on the network interface when it is handed to
its network thread; ``queued.max.requests`` does not block (a connection has one request
in processing, so the queue is bounded by the connections).
"""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.broker.request_throttle import RequestThrottle
from kafkasim.connection import Connection, Server
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.stations import FifoStation, WorkerPool
from kafkasim.protocol import Request


class SocketServer(Server):
    """The sockets and threads of one broker process.

    ``service(request)`` gives a handler's seconds before the effect, ``handle(request)``
    applies it and returns the seconds after it (see :class:`WorkerPool`).
    """

    def __init__(
        self,
        scheduler: Scheduler,
        host: Host,
        network_threads: int,
        io_threads: int,
        wake_up_s: float,
        read_s: float,
        write_s: float,
        service: Callable[[Request], float],
        handle: Callable[[Request], float],
        closed: Callable[[Connection], None],
        life: Life | None = None,
    ) -> None:
        self.host = host
        self.life: Life = Life(scheduler) if life is None else life
        self.bound: bool = False
        self.open: bool = False
        self.throttle: RequestThrottle | None = None
        self.buffer_bytes: int = 0
        self.connections: list[Connection] = []
        # Nobody else wants the cores of a host of its own; where they are shared, who comes first goes first.
        own = host.cpu is None
        begin = service if own else self._begin_on_shared_cores
        self.handlers = WorkerPool(scheduler, io_threads, begin, handle, wake_up_s, "request_handlers", own)
        self.processors: list[FifoStation] = [FifoStation(f"network_thread_{i}") for i in range(network_threads)]
        self._scheduler = scheduler
        self._service = service
        self._closed = closed
        self._wake_up_s: float = wake_up_s
        self._read_s: float = read_s
        self._write_s: float = write_s
        self._next_processor: int = 0

    @property
    def requests(self) -> int:
        """Requests that a handler has begun to work on."""
        return self.handlers.begun

    @property
    def request_wait_s(self) -> float:
        """How long they took from the socket to there (s, sum)."""
        return self.handlers.before_s

    @property
    def receive_buffer_bytes(self) -> int:
        """``socket.receive.buffer.bytes``; 0: the kernel tunes it."""
        return self.buffer_bytes

    def listens(self) -> bool:
        """Whether the port is open: the kernel completes handshakes from :meth:`bind` on."""
        return self.bound

    def bind(self) -> None:
        """The port is open; nobody reads what arrives before :meth:`serve`."""
        self.bound = True

    def serve(self) -> None:
        """The network threads run: they take what has gathered in the sockets, then what comes."""
        self.bound = True
        self.open = True
        for connection in list(self.connections):
            connection.in_processing = False
            self._next(connection)

    def accept(self, connection: Connection) -> None:
        """Take a new connection: network threads are dealt in turn."""
        connection.processor = self.processors[self._next_processor]
        self._next_processor = (self._next_processor + 1) % len(self.processors)
        connection.in_processing = not self.open  # before ``serve`` a request stays in the socket
        connection.ready_at = self._scheduler.now
        connection.session = None
        if self.throttle is not None:
            connection.quota = self.throttle.sensors(connection)
        self.connections.append(connection)

    def receive(self, request: Request) -> None:
        """A request has passed the interface: read it, or leave it in the socket."""
        now = self._scheduler.now
        life = self.life
        if life.stopped_until > 0.0 and life.holds(self._receive_late, request):
            return
        request.received_at = now
        connection = request.connection
        if connection is None:
            raise AssertionError("a request arrives on a connection")
        if connection.in_processing or connection.backlog:
            connection.backlog.append(request)
            return
        self._read(request, connection, now if connection.ready_at <= now else connection.ready_at)

    def _receive_late(self, request: Request) -> None:
        """What came while the process was stopped, unless it was killed meanwhile."""
        if request.connection is not None and not request.connection.ended:
            self.receive(request)

    def stop(self, until: float) -> None:
        """The process is stopped until then: all work in progress is done later by the pause."""
        now = max(self._scheduler.now, self.life.stopped_until)
        if until > now:
            self.handlers.pause(now, until)
            for processor in self.processors:
                processor.pause(now, until)

    def forget(self, connection: Connection) -> None:
        """The client is gone: its parked requests are answered into the void."""
        if self.life.holds(self.forget, connection):
            return
        if connection in self.connections:
            self.connections.remove(connection)
            self._closed(connection)

    def resume(self, request: Request) -> None:
        """A handler has been held with this request; it may go on."""
        self.handlers.resume(request)

    def drop(self, connection: Connection, cause: int) -> None:
        """The broker closes a connection."""
        if connection in self.connections:
            self.connections.remove(connection)
            self._closed(connection)
            connection.reset(cause)

    def respond(self, request: Request, at: float) -> None:
        """A response is ready at ``at`` (s): write it and let the connection go on."""
        connection = request.connection
        if connection is None:
            return
        if request.throttle_ms > 0:
            self._respond_throttled(request, connection, at)
            return
        if not request.expects_response:
            connection.in_processing = False
            connection.ready_at = at
        else:
            # FifoStation.serve, in line: every request comes by here.
            processor = connection.processor
            service_s = self._write_s
            start = processor.free_at
            if start > at:
                processor.waiting_s += start - at
                written = start + service_s
            else:
                service_s += self._wake_up_s
                written = at + service_s
            processor.free_at = written
            processor.busy_s += service_s
            processor.served += 1
            connection.in_processing = False
            request.size_bytes = request.response_bytes  # Connection.respond, in line
            connection.ready_at = connection.down.send(request, written)
        if connection.backlog:
            self._scheduler.call_at(connection.ready_at, self._next, connection)

    def _respond_throttled(self, request: Request, connection: Connection, at: float) -> None:
        """KIP-219: the answer leaves, but nothing more is read from this client for the throttle time."""
        over_at = at + request.throttle_ms / 1000.0
        if request.held_back:
            self.life.plan(over_at, self._respond_late, request)
            return
        self._write(request, connection, at)
        if over_at > connection.ready_at:
            connection.ready_at = over_at
        connection.in_processing = True
        self.life.plan(connection.ready_at, self._unmute, connection)

    def _write(self, request: Request, connection: Connection, at: float) -> None:
        connection.ready_at = at
        if request.expects_response:
            processor = connection.processor
            service_s = self._write_s if processor.free_at > at else self._write_s + self._wake_up_s
            connection.ready_at = connection.respond(request, processor.serve(at, service_s))

    def _unmute(self, connection: Connection) -> None:
        connection.in_processing = False
        self._next(connection)

    def _respond_late(self, request: Request) -> None:
        """Before 2.0 a throttled answer was kept back, and its throttle time is over now."""
        connection = request.connection
        if connection is not None and not connection.ended:
            self._write(request, connection, self._scheduler.now)
            self.life.plan(connection.ready_at, self._unmute, connection)

    def shut_down(self, cause: int) -> None:
        """The process has died: every peer is reset, all work is forgotten."""
        self.bound = False
        self.open = False
        now = self._scheduler.now
        for connection in self.connections:
            connection.session = None
            connection.reset(cause)
        self.connections.clear()
        self.handlers.reset()
        for processor in self.processors:
            processor.reset(now)

    def _read(self, request: Request, connection: Connection, at: float) -> None:
        connection.in_processing = True
        # FifoStation.serve, in line: every request comes by here.
        processor = connection.processor
        service_s = self._read_s
        start = processor.free_at
        if start > at:
            processor.waiting_s += start - at
            read = start + service_s
        else:
            service_s += self._wake_up_s
            read = at + service_s
        processor.free_at = read
        processor.busy_s += service_s
        processor.served += 1
        self.handlers.submit(request, read)

    def _next(self, connection: Connection) -> None:
        life = self.life
        if life.stopped_until > 0.0 and life.holds(self._next, connection):
            return
        if connection.backlog and not connection.in_processing:
            self._read(connection.backlog.popleft(), connection, self._scheduler.now)

    def _begin_on_shared_cores(self, request: Request) -> float:
        """A thread that has got its request queues for a core."""
        service = self._service
        start = request.started_at
        return self.host.compute(start, service(request)) - start
