"""The composition root of the HTTP API: everything is wired here and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Router
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template import TemplateConfig

from adapters.access.oidc import provider_in
from adapters.observability import tracing
from adapters.settings import Settings
from adapters.training.trainer_seeds import apply_at_start
from api.access.accounts import AccountController
from api.access.guard import Authentication, guard, known_caller, refuse_unguarded
from api.access.invitations import InvitationController
from api.access.keys import KeyController
from api.access.limits import Failures, OpenStreams, Rate, Streams
from api.access.page import AccessPages
from api.access.refusals import RefusalController
from api.access.rights import OPEN
from api.access.sign_in import LoginPages, SessionController
from api.access.sign_in_provider import ProviderPages
from api.access.waiting import Waiting, on_behind, on_caller_changed
from api.audit.image_page import ImagePages
from api.audit.page import AuditPages
from api.audit.trail import TrailController
from api.audit.transparency import TilesController, TransparencyController
from api.backend import THREADS, Backend, Behind
from api.caller_proof import CallerChanged
from api.dataset.agreement import AgreementController
from api.dataset.agreement_page import AgreementPages
from api.dataset.erasure import ErasureController
from api.dataset.exports import ExportController
from api.dataset.groups import GroupController
from api.dataset.groups_page import GroupPages
from api.dataset.image_list import ImageListController
from api.dataset.image_lookup import ImageLookupController
from api.dataset.images import ImageController
from api.dataset.imports import ImportController
from api.dataset.imports_page import ImportPages
from api.dataset.near_duplicates import NearDuplicateController
from api.dataset.near_duplicates_page import NearDuplicatePages
from api.dataset.projects import ProjectController
from api.dataset.projects_page import ProjectPages
from api.dataset.reviews import ReviewController
from api.dataset.snapshots import SnapshotController
from api.dataset.snapshots_page import SnapshotPages
from api.evaluation.comparison import ComparisonController
from api.evaluation.comparison_page import ComparePages
from api.evaluation.evaluation import EvaluationController
from api.evaluation.items import ItemController
from api.evaluation.on_test_set import TestEvaluationController
from api.evaluation.page import EvaluationPages
from api.evaluation.slices import SliceController
from api.evaluation.suggestions import SuggestionController
from api.evaluation.worst import WorstErrorPages
from api.experiments.compare_page import ComparedTrialsPages
from api.experiments.estimate import EstimateController
from api.experiments.experiments import ExperimentController
from api.experiments.list_page import ExperimentListPages
from api.experiments.page import ExperimentPages
from api.flip_book.items import FlipBookController
from api.flip_book.page import FlipBookPages
from api.flip_book.suspects import SuspectController
from api.flip_book.suspects_page import SuspectPages
from api.http.api_version import API_VERSION
from api.http.counters import Metrics
from api.http.edges import SecurityHeaders, own_hosts
from api.http.known_parameters import documented_parameters, known_parameters
from api.http.parameters import JsonRequest, keep_signatures, provided
from api.http.problems import HANDLERS, MOST_PARTS
from api.http.watching import RequestLog
from api.library.annotate_page import AnnotatePages
from api.library.compare_page import CompareVersionsPages
from api.library.concepts_page import ConceptPages
from api.library.lineage_page import LineagePages
from api.library.models import ModelController
from api.library.view_page import ViewPages
from api.library.views import ViewController
from api.openapi import CompleteJson, CompleteYaml
from api.operations.client_page import ClientPages
from api.operations.health import HealthController
from api.operations.metrics import MetricsController
from api.operations.problems_page import ProblemTypePages
from api.operations.reference_page import ReferencePages
from api.operations.static_files import StaticFiles
from api.operations.system import SystemController
from api.overview.documentation import DocumentationPages
from api.overview.home_page import HomePages
from api.overview.search import SearchController, SearchPages
from api.overview.tasks import TaskController
from api.pages.html import as_pages, prepare
from api.subscriptions.contract_page import ContractPages
from api.subscriptions.events import EventController
from api.subscriptions.events_page import EventPages
from api.subscriptions.webhooks import WebhookController
from api.subscriptions.webhooks_page import WebhookPages
from api.training.adoption import AdoptionController
from api.training.code import CodeController
from api.training.estimate import TrainingEstimateController
from api.training.forms import FormController
from api.training.jobs import JobController
from api.training.live import LiveController
from api.training.metrics import TrainingMetricsController
from api.training.onnx import OnnxController
from api.training.seeds import SeedController
from api.training.take_away import TakeAwayController
from api.training.trainers import TrainerController
from api.training.version_page import VersionPages
from api.training.versions import VersionController
from api.training.workers import WorkerController
from api.training.workers_page import WorkerPages

HERE = Path(__file__).parent

API = Router(
    "/api/v1",
    route_handlers=[
        ProjectController,
        ImageController,
        ImageListController,
        ImageLookupController,
        ReviewController,
        AgreementController,
        GroupController,
        NearDuplicateController,
        SnapshotController,
        ErasureController,
        ImportController,
        ExportController,
        ViewController,
        ModelController,
        FormController,
        TrainingEstimateController,
        VersionController,
        AdoptionController,
        CodeController,
        TakeAwayController,
        OnnxController,
        TrainingMetricsController,
        EvaluationController,
        TestEvaluationController,
        SuggestionController,
        ComparisonController,
        FlipBookController,
        SuspectController,
        SliceController,
        ItemController,
        LiveController,
        ExperimentController,
        EstimateController,
        EventController,
        WorkerController,
        TrainerController,
        SeedController,
        JobController,
        WebhookController,
        TransparencyController,
        TrailController,
        SystemController,
        AccountController,
        KeyController,
        InvitationController,
        SessionController,
        RefusalController,
        SearchController,
        TaskController,
    ],
)

# Pages have no functions of their own: a small script calls the API for what a page does.
PAGES = Router(
    "/",
    route_handlers=[
        HomePages,
        SearchPages,
        DocumentationPages,
        ProjectPages,
        ImagePages,
        ImportPages,
        GroupPages,
        NearDuplicatePages,
        AgreementPages,
        SnapshotPages,
        ViewPages,
        ConceptPages,
        LineagePages,
        CompareVersionsPages,
        AnnotatePages,
        ExperimentListPages,
        ExperimentPages,
        ComparedTrialsPages,
        VersionPages,
        EvaluationPages,
        WorstErrorPages,
        FlipBookPages,
        SuspectPages,
        ComparePages,
        WorkerPages,
        AuditPages,
        EventPages,
        AccessPages,
        ClientPages,
        ContractPages,
        ReferencePages,
        ProblemTypePages,
        WebhookPages,
        LoginPages,
        ProviderPages,
    ],
    include_in_schema=False,
)


def create_app(settings: Settings, made: Callable[[], object] = lambda: None) -> Litestar:
    """The ASGI application. It connects to the servers when it starts, not here. `made` is called
    after its start, when there is all that lasts as long as the application."""
    return with_settings(all_routes(), settings, made)


def with_settings(
    app: Litestar, settings: Settings, made: Callable[[], object] = lambda: None
) -> Litestar:
    """An application that does not run is to run by these settings, with nothing left of others.

    All that differs from one system to another, and all that a running one counts, is in its state.
    """
    app.state = State(
        {
            "settings": settings,
            "made": made,
            "metrics": Metrics(),
            "provider": provider_in(settings),
            "hosts": own_hosts([settings.api_host, *settings.hosts()]),
            "rate": Rate(settings.rate_limit),
            "failures": Failures(settings.failed_sign_ins),
            "streams": OpenStreams(settings.streams),
            "behind_in": {},
        }
    )
    return app


def all_routes() -> Litestar:
    """The application without settings. To make it takes the most of what a start computes."""
    app = Litestar(
        route_handlers=[
            API,
            HealthController,
            MetricsController,
            TilesController,
            PAGES,
            StaticFiles,
        ],
        lifespan=[_backend_of],
        middleware=[RequestLog(), Streams(), Authentication, Waiting()],
        guards=[check],
        dependencies=provided(backend=_backend),
        exception_handlers=as_pages(HANDLERS)
        | {Behind: on_behind, CallerChanged: on_caller_changed},
        multipart_form_part_limit=MOST_PARTS,
        request_class=JsonRequest,
        template_config=TemplateConfig(
            directory=HERE / "templates", engine=JinjaTemplateEngine, engine_callback=prepare
        ),
        openapi_config=OpenAPIConfig(
            title="Stemma",
            version=API_VERSION,
            description="Train computer-vision models, with a verifiable history of each.",
            openapi_router=Router("/schema", route_handlers=[], opt=OPEN, include_in_schema=False),
            render_plugins=[CompleteJson(), CompleteYaml()],
            operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        ),
        logging_config=None,  # the process has configured its logging
        debug=False,
    )
    refuse_unguarded(app)
    keep_signatures(app)
    app.asgi_handler = SecurityHeaders(app.asgi_handler)
    return app


@asynccontextmanager
async def _backend_of(app: Litestar) -> AsyncIterator[None]:
    # No more handler threads than connections, so that no thread waits for a connection.
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="handler")
    asyncio.get_running_loop().set_default_executor(threads)
    backend = await asyncio.to_thread(Backend, app.state.settings)
    app.state.backend = backend

    def prepare_the_rest() -> None:
        documented_parameters(app)
        app.state.made()
        apply_at_start(backend.store, backend.data)

    # Before somebody has to wait for it.
    threads.submit(prepare_the_rest)
    try:
        yield
    finally:
        await backend.queue_monitor.close()
        await asyncio.to_thread(backend.close)
        await asyncio.to_thread(tracing.end)


async def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """All guards, in order: the framework copies the handler for each guard that it knows."""
    await known_caller(connection)
    await known_parameters(connection)
    await guard(connection, handler)


def _backend(state: State) -> Backend:
    backend: Backend = state.backend
    return backend
