from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mail', '0002_reconciliation'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='email',
            index=models.Index(condition=models.Q(('user__isnull', True)), fields=['recipient'], name='email_unowned'),
        ),
    ]
