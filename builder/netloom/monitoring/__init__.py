"""Monitoring of a served model: the log of its requests, the check of recent ones, and alerts.

`request_log` owns the files, `check` compares recent rows with the data of the run, `alerts` sends webhooks, and
`promotion` decides whether a new run may replace the current one.
"""

from netloom.monitoring.check import MonitorReport, check
from netloom.monitoring.log_files import LogInfo, log_of, logged_models
from netloom.monitoring.request_log import LogSettings, RequestLog

__all__ = ["LogInfo", "LogSettings", "MonitorReport", "RequestLog", "check", "log_of", "logged_models"]
