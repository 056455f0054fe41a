"""Texts of the access pages that are not in templates, in one place for translation."""

from domain.access.roles import Role

ROLES = {
    Role.VIEWER: "can see everything",
    Role.ANNOTATOR: "also adds images and annotates",
    Role.TRAINER: "also trains and sets thresholds",
    Role.AUDITOR: "can see everything, and the audit trail",
    Role.ADMINISTRATOR: "may do everything",
}
ALL_PROJECTS = "all projects"
