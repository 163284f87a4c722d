import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Email',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('template', models.CharField(max_length=60)),
                ('recipient', models.EmailField(max_length=254)),
                ('context', models.JSONField(null=True)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('sending', 'Sending'), ('retrying', 'Retrying'), ('sent', 'Sent'), ('failed', 'Failed')], default='queued', max_length=10)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('phase', models.PositiveSmallIntegerField(default=0)),
                ('answer', models.TextField(blank=True, default='')),
                ('message_id', models.TextField(blank=True, default='')),
                ('uncertain', models.BooleanField(default=False, help_text='It may have been sent twice: a worker died while sending it.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('queued_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='Since when it is being tried; later if an operator repeated it')),
                ('next_attempt_at', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('failed_at', models.DateTimeField(null=True)),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='EmailAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('phase', models.PositiveSmallIntegerField()),
                ('at', models.DateTimeField()),
                ('worker', models.TextField(blank=True)),
                ('outcome', models.CharField(choices=[('started', 'Started'), ('deferred', 'Deferred'), ('failed', 'Failed'), ('sent', 'Sent')], max_length=10)),
                ('answer', models.TextField(blank=True)),
                ('email', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='mail.email')),
            ],
            options={
                'ordering': ['email', 'number'],
            },
        ),
        migrations.AddIndex(
            model_name='email',
            index=models.Index(fields=['user', '-created_at', '-id'], name='email_user_newest'),
        ),
        migrations.AddIndex(
            model_name='email',
            index=models.Index(fields=['user', 'state', '-created_at'], name='email_user_state'),
        ),
        migrations.AddIndex(
            model_name='email',
            index=models.Index(fields=['state', '-created_at'], name='email_state'),
        ),
        migrations.AddIndex(
            model_name='email',
            index=models.Index(condition=models.Q(('context__isnull', False), ('state', 'failed')), fields=['failed_at'], name='email_failed_context'),
        ),
        migrations.AddConstraint(
            model_name='emailattempt',
            constraint=models.UniqueConstraint(fields=('email', 'number'), name='email_attempt_number'),
        ),
    ]
