"""The pages: server-rendered, and live where something can change.

Nothing is only here: what a page does is a call of the API, sent by a small script.
"""

from litestar import Router

from api.access.page import AccessPages
from api.access.sign_in import LoginPages
from api.access.sign_in_provider import ProviderPages
from api.audit.page import AuditPages
from api.dataset.image_page import ImagePages
from api.dataset.imports_page import ImportPages
from api.dataset.projects_page import ProjectPages
from api.evaluation.comparison_page import ComparePages
from api.evaluation.page import EvaluationPages
from api.library.annotate_page import AnnotatePages
from api.library.view_page import ViewPages
from api.subscriptions.contract_page import ContractPages
from api.subscriptions.events_page import EventPages
from api.subscriptions.webhooks_page import WebhookPages
from api.training.version_page import VersionPages
from api.training.workers_page import WorkerPages

PAGES = Router(
    "/",
    route_handlers=[
        ProjectPages,
        ImagePages,
        ImportPages,
        ViewPages,
        AnnotatePages,
        VersionPages,
        EvaluationPages,
        ComparePages,
        WorkerPages,
        AuditPages,
        EventPages,
        AccessPages,
        ContractPages,
        WebhookPages,
        LoginPages,
        ProviderPages,
    ],
    include_in_schema=False,
)
